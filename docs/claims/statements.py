"""The papers' claims, each with the sweep that tests it and its parts."""

import itertools

from measurements import AUTOATTACK, FIRST, ROBUST, beyond, growth, lead, numbers, points, transferred
from verdicts import Check, Claim

RATIOS = ("0.05", "0.01", "0.003")
NOTHING = 5  # % robust accuracy up to which a net is called not robust: half of a guess among ten classes
CLAIMS = [
    Claim(
        "Gui et al., tables 7 to 10",
        "NAP is not robust (ResNet34, 1 %: 92.2 % clean, 2.9 % under IFGSM)",
        "methods",
        tuple(Check(f"NAP under PGD-100 at {float(r):.1%}, %", points(("nap", r)), most=NOTHING) for r in RATIOS),
    ),
    Claim(
        "Gui et al., tables 7 to 10",
        "ATMC is at least as robust as AP (ResNet34, 1 %: 70.9 against 69.0 % under IFGSM)",
        "methods",
        tuple(Check(f"ATMC - AP at {float(r):.1%}, points", lead(("atmc", r), ("ap", r)), least=0) for r in RATIOS),
    ),
    Claim(
        "Gui et al., tables 7 to 10",
        "AP is at least as robust as ALR (ResNet34, 1 %: 69.0 against 48.5 % under IFGSM)",
        "methods",
        tuple(Check(f"AP - ALR at {float(r):.1%}, points", lead(("ap", r), ("alr", r)), least=0) for r in RATIOS),
    ),
    Claim(
        "Gui et al., tables 7 to 10",
        "ATMC's lead over AP grows as the budget shrinks (ResNet34: 1.9 points at 1 %, 8.5 at 0.1 %)",
        "methods",
        tuple(
            Check(
                f"lead at {float(s):.1%} - lead at {float(b):.1%}, points",
                growth((("atmc", s), ("ap", s)), (("atmc", b), ("ap", b))),
                least=0,
            )
            for b, s in itertools.pairwise(RATIOS)
        ),
    ),
    Claim(
        "Gui et al., section 3",
        "the factors U and C make W = UV + C better than pruning alone",
        "factors",
        (
            Check("ATMC - l0, points", lead(("atmc", "0.01"), ("l0", "0.01")), least=0),
            Check("ATMC - l0 with fixed zeros, points", lead(("atmc", "0.01"), ("l0-masks", "0.01")), least=0),
        ),
    ),
    Claim(
        "Gui et al., appendix B.2",
        "at 1,292 weights few columns of U are not zero (2 of 20, 2 of 50, 1 of 500), and many rows of V (17, 43, 114)",
        "methods",
        tuple(
            Check(
                f"{side} of layer {layer + 1}, of {full}",
                numbers(("atmc", "0.003"), "summary", f"factors.layers.{layer}.rank_{factor}"),
                **bound,
            )
            for layer, (full, rows) in enumerate(((20, 17), (50, 43), (500, 114)))
            for side, factor, bound in (
                ("columns of U", "U", {"most": full / 10}),
                ("rows of V", "V", {"least": rows / 2}),
            )
        ),
    ),
    Claim(
        "Gui et al., tables 7 to 10",
        "8 bits cost ATMC little (ResNet34, 1 %: 70.9 % under IFGSM, 70.8 % in 8 bits)",
        "bits",
        tuple(
            Check(f"8 bits{how} - 32 bits, points", lead((f"atmc-8bit{name}", "0.01"), ("atmc", "0.01")), least=-1)
            for name, how in (("", ""), ("-centroids", ", k-means once"))
        ),
    ),
    Claim(
        "Gui et al., tables 7 to 10",
        "robustness carries over to FGSM, IFGSM and WRM: ATMC stays ahead of AP under each",
        "modes",
        tuple(
            Check(
                f"ATMC - AP under {attack.upper()}, eps {eps}, points",
                lead(("atmc", "0.01"), ("ap", "0.01"), ("generalise", f"eps={eps}", f"per_attack.{attack}")),
                least=0,
            )
            for eps, attack in (*itertools.product(("0.1", "0.2", "0.3"), ("fgsm", "ifgsm")), ("0.3", "wrm"))
        ),
    ),
    Claim(
        "thesis, algorithm 1",
        "one-shot ADMM, without dense start and fine-tuning, does as well as the staged pipeline",
        "thesis",
        tuple(
            Check(
                f"update every {u} - staged, points", lead((f"admm-one-shot-{u}", "0.01"), ("admm", "0.01")), least=-1
            )
            for u in ("step", "epoch")
        ),
    ),
    Claim(
        "thesis, 3.1",
        "an eps that grows trains better than a constant one",
        "thesis",
        (Check("growing - constant, points", lead(("admm", "0.01"), ("admm-constant-eps", "0.01")), least=0),),
    ),
    Claim(
        "thesis, 3.1",
        "attack steps that grow (7, 14, 21) train better than always 7",
        "thesis",
        (Check("growing - constant, points", lead(("admm-growing-steps", "0.01"), ("admm", "0.01")), least=0),),
    ),
    Claim(
        "thesis, chapter 4",
        "irregular, funnel and redundant projections show no consistent differences",
        "thesis",
        tuple(
            Check(f"{p} - irregular, points", lead((f"admm-{p}", "0.01"), ("admm", "0.01")), least=-1, most=1)
            for p in ("funnel", "redundant")
        ),
    ),
    Claim(
        "thesis, algorithm 3",
        "images crafted on a small robust net fool other nets less than those crafted on a natural net",
        "modes",
        tuple(
            Check(
                f"{judge.upper()} on images of {by.upper()} - on images of NAP, eps 0.3, points",
                lead((by, "0.01"), ("nap", "0.01"), transferred(judge)),
                least=0,
            )
            for judge, by in (("ap", "admm"), ("ap", "atmc"), ("atmc", "admm"))
        ),
    ),
    Claim(
        "thesis, table C.1",
        "the ensemble with a natural net is more robust than the robust net alone (ResNet34: 82.2 against 58.3 % under"
        " PGD)",
        "ensemble",
        tuple(
            Check(
                f"{name.upper()} with NAP, {what} - {name.upper()} alone, points", beyond((name, "0.01"), m, ROBUST), 0
            )
            for name in ("admm", "atmc")
            for what, m in (
                ("images crafted on the robust net", ("ensemble", "steps=100", "crafted_on.robust")),
                ("the worst attack", ("ensemble", "steps=100", "robust_accuracy")),
            )
        ),
    ),
    Claim(
        "thesis, table 4.2",
        "AutoAttack finds more than PGD",
        "autoattack",
        tuple(
            Check(f"{name}: PGD-100 - AutoAttack, points", beyond((name, "0.01"), FIRST, AUTOATTACK), least=0.5)
            for name in ("ap", "atmc", "admm", "l0")
        ),
    ),
    Claim(
        "Gui et al., tables 7 to 10",
        "on the papers' own LeNet, without ReLU after its convolutions, ATMC is at least as robust as AP",
        "linear",
        (Check("ATMC - AP at 1.0%, points", lead(("linear-atmc", "0.01"), ("linear-ap", "0.01")), least=0),),
    ),
    Claim(
        "both papers",
        "the figures of ResNet34, MobileNets, ShuffleNets, WRN-16-8 and the STL-10 net",
        untestable="a ResNet34 epoch with PGD-7 takes about 8 hours on 2 CPU cores; configs/papers has the commands",
    ),
]
