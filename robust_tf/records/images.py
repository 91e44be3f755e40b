"""images.json: which of the user's own images a run trains on, and which it is tested on."""

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, kw_only=True)
class OwnImages:
    """Paths below --data_dir, with slashes. test is None where the folder itself separates the images, in test/.
    test_sha256: of the names and bytes of the test files."""

    train: tuple[str, ...]
    test: tuple[str, ...] | None = None
    test_sha256: str | None = None

    def __post_init__(self):
        for path in (*self.train, *(self.test or ())):
            parts = PurePosixPath(path).parts
            if len(parts) not in (2, 3) or not {"/", ".."}.isdisjoint(parts):
                raise ValueError(f"expected CLASS/FILE or train|test/CLASS/FILE; got {path!r}")
