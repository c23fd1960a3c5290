"""The networks themselves and their way into TFLite files.

Stage 1: small GRU heads over speech embeddings. Second look: small convolutional heads over Moonshine's encoder states.
Both are averages of a few heads that differ by seed alone.
"""

import os
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from kiosk.listen.features import EMBEDDING_SIZE, WINDOW
from models.material import Halves, Labels, Windows
from models.recipe import Training

Head: TypeAlias = Any  # a Keras model; Keras 2 has no types

Row: TypeAlias = npt.NDArray[np.float32]

UNITS = 48
DROPOUT = 0.2
LOOK_FRAMES, LOOK_FEATURES = 51, 288
LOOK_UNITS = 64
LOOK_SMOOTHING = 0.05


def head(outputs: int) -> Head:
    """One untrained head: pointwise convolution, GRU, logits of "none of them" and each phrase."""
    layers = tf.keras.layers
    window = tf.keras.Input((WINDOW, EMBEDDING_SIZE))
    narrowed = layers.Dropout(DROPOUT)(layers.Conv1D(UNITS, 1, activation="relu")(window))
    state = layers.Dropout(DROPOUT)(layers.GRU(UNITS, unroll=True)(narrowed))
    return tf.keras.Model(window, layers.Dense(outputs)(state))


def look_head(outputs: int, mean: Row, spread: Row) -> Head:
    """One untrained head of the second look; `mean` and `spread` (288,) put each state feature on one scale."""
    layers = tf.keras.layers
    states = tf.keras.Input((LOOK_FRAMES, LOOK_FEATURES))
    x = layers.Normalization(axis=-1, mean=mean, variance=spread**2)(states)
    x = layers.SpatialDropout1D(0.1)(layers.GaussianNoise(0.1)(x))
    x = layers.Dropout(DROPOUT)(layers.Dense(LOOK_UNITS, activation="relu")(x))
    x = layers.Dropout(DROPOUT)(layers.Conv1D(LOOK_UNITS, 5, padding="same", activation="relu")(x))
    for _ in range(2):
        x = layers.Conv1D(LOOK_UNITS, 5, strides=2, padding="same", activation="relu")(x)
    both = layers.Concatenate()([layers.GlobalMaxPooling1D()(x), layers.GlobalAveragePooling1D()(x)])
    return tf.keras.Model(states, layers.Dense(outputs)(layers.Dropout(DROPOUT)(both)))


def train_head(x: Windows, y: Labels, outputs: int, training: Training, seed: int) -> Head:
    """Train a stage-1 head on windows (n, 16, 96) and labels (n,); the same seed gives the same head on the same machine."""
    _seed(seed)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return _fit(head(outputs), x, y, training, seed, loss)


def train_look_head(x: Halves, y: Labels, outputs: int, training: Training, seed: int) -> Head:
    """Train a head of the second look on states (n, 51, 288) and labels (n,)."""
    _seed(seed)
    sample = x[::7].astype(np.float32)
    model = look_head(outputs, sample.mean((0, 1)), sample.std((0, 1)) + np.float32(1e-3))
    loss = tf.keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=LOOK_SMOOTHING)
    return _fit(model, x, np.eye(outputs, dtype=np.float32)[y], training, seed, loss)


def _seed(seed: int) -> None:
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def _fit(model: Head, x: Any, y: Any, training: Training, seed: int, loss: Any) -> Head:
    steps = max(1, len(x) // training.batch) * training.epochs
    pace = tf.keras.optimizers.schedules.CosineDecay(training.learning_rate, steps)
    model.compile(tf.keras.optimizers.Adam(pace), loss)
    order = np.random.default_rng(seed).permutation(len(x))
    model.fit(x[order], y[order], batch_size=training.batch, epochs=training.epochs, verbose=2)
    return model


def distress(model: Head, x: Windows) -> Windows:
    """How much each window looks like any phrase at all: log-odds, shape (n,)."""
    logits = model.predict(x, batch_size=4096, verbose=0)
    logaddexp: Any = np.logaddexp  # as numpy 2 is typed, its reduce wants `out`
    return np.asarray(logaddexp.reduce(logits[:, 1:], axis=1) - logits[:, 0], np.float32)


def to_tflite(heads: list[Head]) -> bytes:
    """One TFLite file of built-in operations: an input of one, probabilities (1, 1 + phrases) out.

    Weights are stored as float16 and computed with as float32: 8 bits were slower and moved scores (docs/architecture.md).
    """
    window = tf.keras.Input(heads[0].input_shape[1:], batch_size=1)
    logits = [model(window) for model in heads]
    mean = logits[0] if len(logits) == 1 else tf.keras.layers.Average()(logits)
    whole = tf.keras.Model(window, tf.keras.layers.Softmax()(mean))
    converter = tf.lite.TFLiteConverter.from_keras_model(whole)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return bytes(converter.convert())
