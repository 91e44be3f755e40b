"""Which flags apply, given the values of the others.

A flag that chooses something (--method, --loss, --projection, ...) declares for each of its values which further flags
apply with that value: the `options` of a registry's entries, or a dict of tuples. A flag that no other flag names
always applies. A flag that others name applies if one of them applies and its value names the flag: --floor applies
with --projection=irregular, and --projection applies with a method that projects.
"""

import dataclasses
import itertools

from robust_tf.refusal import Refusal

UNSET, ABOVE_0 = "not given", "above 0"  # labels, see `chosen`


def in_words(needed):
    """Needed flags and values as text: "--loss=mix|trades", "--bits above 0" or "no --steps_schedule"."""
    return " or ".join(part for selector, labels in needed.items() for part in parts(selector, labels))


def parts(selector, labels):
    plain = [label for label in labels if label not in (UNSET, ABOVE_0)]
    yield from [f"no --{selector}"] * (UNSET in labels)
    yield from [f"--{selector} {ABOVE_0}"] * (ABOVE_0 in labels)
    yield from [f"--{selector}={'|'.join(plain)}"] * bool(plain)


def chosen(value):
    """The labels under which `options` may list a flag's value: the value as text, each name of a tuple, "epoch:value"
    for a sequence, ABOVE_0 for a positive number, UNSET for None."""
    if value is None:
        return [UNSET]
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, int | float):
        return [ABOVE_0 if value > 0 else "0"]
    if isinstance(value, tuple):
        return [each if isinstance(each, str) else "epoch:value" for each in value]
    return [value]


def listed(entry):
    """The flags that `entry`, of a registry or a tuple, names."""
    return entry if isinstance(entry, tuple) else entry.options


def selectors(Config, name):
    """{flag: its values with which --NAME applies}, for the flags that name it."""
    found = {}
    for field in dataclasses.fields(Config):
        values = [value for value, entry in field.metadata["options"].items() if name in listed(entry)]
        if values:
            found[field.name] = values
    return found


def meant(config):
    """Names of the flags that apply in `config`."""
    fields = {field.name: field.metadata["options"] for field in dataclasses.fields(config)}
    named = {name for options in fields.values() for entry in options.values() for name in listed(entry)}
    found, new = set(), {name for name in fields if name not in named}
    while new:
        found |= new
        given = [
            (fields[name], label) for name in new for label in chosen(getattr(config, name)) if label in fields[name]
        ]
        new = {name for options, label in given for name in listed(options[label]) if name in fields} - found
    return found


def idle(config, names):
    """Those of `names` that do not apply in `config`."""
    applying = meant(config)
    return [name for name in names if name not in applying]


def reason(config, name, given):
    """Why --NAME is refused, although it was given: what it needs, and the present values of the flags to change.

    Args:
      config: unchecked, in which the flag does not apply.
      given: names of all flags that were given.
    """
    needed, applying = remedies(config, name, given), meant(config)
    flags = list(dict.fromkeys(flag for change in needed for flag in change))
    shown = [flag for flag in flags if flag in applying]
    values = [typed(config, flag) for flag in shown]
    got = values if len(flags) == 1 else [f"--{flag}={value}" for flag, value in zip(shown, values)]
    return f"--{name}: expected {changes_in_words(needed)} with it; got {' '.join(got)}"


def remedies(config, name, given):
    """The smallest changes of `config` with which --NAME applies.

    Those with which a command accepts all given flags; if there are none, those with which it accepts the others; if
    there are none of those, any.
    """
    helping = [(change, changed(config, change)) for change in changes(config, name)]
    helping = [(change, after) for change, after in helping if name in meant(after)]
    accepted = [(change, after) for change, after in helping if is_accepted(after)]
    before = set(idle(config, given))
    keeping = [(change, after) for change, after in accepted if before.issuperset(idle(after, given))]
    found = [change for change, _ in keeping or accepted or helping]
    return [change for change in found if len(change) == min(map(len, found))]


def changes(config, name):
    """Each {flag: label} of the flags on which --NAME depends, directly or through others."""
    linked = depends_on(type(config), name)
    choices = []
    for field in dataclasses.fields(config):
        present = chosen(getattr(config, field.name))
        labels = [label for label, entry in field.metadata["options"].items() if linked & set(listed(entry))]
        choices.append([*({field.name: label} for label in labels if label not in present), {}])
    return [dict(itertools.chain(*(part.items() for part in each))) for each in itertools.product(*choices)]


def depends_on(Config, name):
    """NAME, and the flags on which --NAME depends, directly or through others."""
    found, new = set(), {name}
    while new:
        found |= new
        new = {selector for each in new for selector in selectors(Config, each)} - found
    return found


def changed(config, change):
    """`config` with values of these labels."""
    kinds = {field.name: field.metadata["kind"] for field in dataclasses.fields(config)}
    texts = {flag: "1" if label == ABOVE_0 else label for flag, label in change.items()}
    values = {flag: None if text == UNSET else kinds[flag].parse(text) for flag, text in texts.items()}
    return dataclasses.replace(config, **values)


def is_accepted(config):
    try:
        config.checked()
    except Refusal:
        return False
    return True


def changes_in_words(needed):
    """Changes as text: "--method=nap|ap|admm --projection=block or --method=atmc --codebook_epochs above 0"."""
    texts = [itertools.product(*(parts(flag, labels) for flag, labels in change)) for change in merged(needed)]
    return " or ".join(" ".join(text) for alternatives in texts for text in alternatives)


def merged(needed):
    """Changes of equal length as ((flag, labels), ...); those that differ only in the label of one flag are one."""
    found = [tuple((flag, (label,)) for flag, label in change.items()) for change in needed]
    for i in range(len(found[0])):
        together = {}
        for change in found:
            flag, labels = change[i]
            key = change[:i], flag, change[i + 1 :]
            together[key] = (*together.get(key, ()), *labels)
        found = [(*before, (flag, labels), *after) for (before, flag, after), labels in together.items()]
    return found


def typed(config, name):
    """The flag's value as typed; "none" if it has none."""
    value = getattr(config, name)
    return "none" if value is None else type(config).__dataclass_fields__[name].metadata["kind"].write(value)
