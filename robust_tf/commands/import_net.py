"""bin/import."""

from robust_tf.commands import run_command
from robust_tf.commands.train import check as check_training
from robust_tf.training.import_config import ImportConfig, as_trained


def check(config):
    check_training(as_trained(config))


def work(config):
    from robust_tf.training.run import train

    print(f"imported: {train(as_trained(config)).path}")


def main():
    run_command("import", ImportConfig, check, work, first="file")


if __name__ == "__main__":
    main()
