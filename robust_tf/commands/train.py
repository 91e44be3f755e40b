"""bin/train."""

from robust_tf.commands import run
from robust_tf.config import TrainConfig


def work(config):
    from robust_tf.training.run import train

    workdir = train(config)
    print(f"trained: {workdir}")


def main():
    run("train", TrainConfig, work)


if __name__ == "__main__":
    main()
