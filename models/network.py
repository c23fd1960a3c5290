"""The model itself: small GRU heads over speech embeddings, averaged, and their way into one TFLite file."""

import os
from typing import Any, TypeAlias

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from kiosk.listen.features import EMBEDDING_SIZE, WINDOW
from models.material import Labels, Windows
from models.recipe import Training

Head: TypeAlias = Any  # a Keras model; Keras 2 has no types

UNITS = 48
DROPOUT = 0.2


def head(outputs: int) -> Head:
    """One untrained head: pointwise convolution, GRU, logits of "none of them" and each phrase."""
    layers = tf.keras.layers
    window = tf.keras.Input((WINDOW, EMBEDDING_SIZE))
    narrowed = layers.Dropout(DROPOUT)(layers.Conv1D(UNITS, 1, activation="relu")(window))
    state = layers.Dropout(DROPOUT)(layers.GRU(UNITS, unroll=True)(narrowed))
    return tf.keras.Model(window, layers.Dense(outputs)(state))


def train_head(x: Windows, y: Labels, outputs: int, training: Training, seed: int) -> Head:
    """Train a head on windows (n, 16, 96) and labels (n,); the same seed gives the same head on the same machine."""
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    model = head(outputs)
    steps = max(1, len(x) // training.batch) * training.epochs
    pace = tf.keras.optimizers.schedules.CosineDecay(training.learning_rate, steps)
    model.compile(tf.keras.optimizers.Adam(pace), tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    order = np.random.default_rng(seed).permutation(len(x))
    model.fit(x[order], y[order], batch_size=training.batch, epochs=training.epochs, verbose=2)
    return model


def distress(model: Head, x: Windows) -> Windows:
    """How much each window looks like any phrase at all: log-odds, shape (n,)."""
    logits = model.predict(x, batch_size=4096, verbose=0)
    logaddexp: Any = np.logaddexp  # as numpy 2 is typed, its reduce wants `out`
    return np.asarray(logaddexp.reduce(logits[:, 1:], axis=1) - logits[:, 0], np.float32)


def to_tflite(heads: list[Head]) -> bytes:
    """One TFLite file of built-in operations: (1, 16, 96) in, probabilities (1, 1 + phrases) out.

    Weights are stored as float16 and computed with as float32: 8-bit weights were slower here and moved scores by 0.4.
    """
    window = tf.keras.Input((WINDOW, EMBEDDING_SIZE), batch_size=1)
    logits = [model(window) for model in heads]
    mean = logits[0] if len(logits) == 1 else tf.keras.layers.Average()(logits)
    whole = tf.keras.Model(window, tf.keras.layers.Softmax()(mean))
    converter = tf.lite.TFLiteConverter.from_keras_model(whole)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return bytes(converter.convert())
