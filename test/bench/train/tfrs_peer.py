"""The preprint's model as its notebook writes it, in TensorFlow Recommenders.

    tfrs_peer.py LISTENS.tsv RECORDINGS BATCH LISTENS_OF_AN_EPOCH LAYERS THREADS evaluate|train

Prints wall and processor seconds of an epoch (the least of two after one that
traces), as the notebook reads the listens and from batches in a cache, which
it does not use; and with "evaluate" of the notebook's evaluation of 10,000 listens
(candidates in batches of 128, listens in batches of 4096): 4096 listens
against a fortieth of the candidates are measured, after one pass that traces,
and multiplied.  THREADS are TensorFlow's, within and between operations.
"""

import os
import sys
import time

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tensorflow_recommenders as tfrs  # noqa: E402

path, recordings, batch, listens, layers, threads, what = sys.argv[1:]
recordings, batch, listens = int(recordings), int(batch), int(listens)
layers = [int(h) for h in layers.split(",")]
tf.config.threading.set_intra_op_parallelism_threads(int(threads))
tf.config.threading.set_inter_op_parallelism_threads(int(threads))
keras = tf.keras
D = 32
data = np.loadtxt(path, dtype=np.int64)
columns = {
    "user": data[:, 0].astype(str),
    "recording": data[:, 1].astype(str),
    "artist": data[:, 2].astype(str),
    "time": data[:, 3].astype(np.float32),
}
all_recordings = np.arange(1, recordings + 1).astype(str)


def lookup(vocabulary):
    return keras.Sequential(
        [
            keras.layers.StringLookup(vocabulary=vocabulary, mask_token=None),
            keras.layers.Embedding(len(vocabulary) + 1, D),
        ]
    )


def tower():
    dense = [keras.layers.Dense(h, activation="relu") for h in layers[:-1]]
    return keras.Sequential([*dense, keras.layers.Dense(layers[-1])])


class Model(tfrs.Model):
    def __init__(self):
        super().__init__()
        t = columns["time"]
        edges = np.linspace(t.min(), t.max(), 1000)
        self.user = lookup(np.unique(columns["user"]))
        self.time = keras.Sequential(
            [keras.layers.Discretization(edges.tolist()), keras.layers.Embedding(1001, D)]
        )
        self.normal = keras.layers.Normalization(axis=None)
        self.normal.adapt(t)
        self.recording = lookup(all_recordings)
        self.artist = lookup(np.unique(columns["artist"]))
        self.query_tower, self.candidate_tower = tower(), tower()
        self.task = tfrs.tasks.Retrieval()

    def query(self, x):
        time = tf.reshape(self.normal(x["time"]), (-1, 1))
        parts = [self.user(x["user"]), self.time(x["time"]), time]
        return self.query_tower(tf.concat(parts, axis=1))

    def candidate(self, x):
        parts = [self.recording(x["recording"]), self.artist(x["artist"])]
        return self.candidate_tower(tf.concat(parts, axis=1))

    def compute_loss(self, x, training=False):
        return self.task(self.query(x), self.candidate(x), compute_metrics=False)


model = Model()
model.compile(optimizer=keras.optimizers.Adagrad(0.1))
data_set = tf.data.Dataset.from_tensor_slices(columns)
data_set = data_set.shuffle(40000, seed=42, reshuffle_each_iteration=False)
train = data_set.take(listens).shuffle(40000).batch(batch)
for name, train in (("epoch", train), ("epoch, batches cached", train.cache())):
    wall = cpu = float("inf")
    for turn in range(3):
        wall0, cpu0 = time.perf_counter(), time.process_time()
        model.fit(train, epochs=1, verbose=0)
        if turn:
            wall = min(wall, time.perf_counter() - wall0)
            cpu = min(cpu, time.process_time() - cpu0)
    print(f"{name}\t{wall:.6f}\t{cpu:.6f}")

if what == "evaluate":
    part, n = recordings // 40, min(4096, len(data))
    candidates = tf.data.Dataset.from_tensor_slices(
        {
            "recording": all_recordings[:part],
            "artist": np.resize(np.unique(columns["artist"]), part),
        }
    )
    metric = tfrs.metrics.FactorizedTopK(candidates=candidates.batch(128).map(model.candidate))
    x = {k: tf.constant(v[:n]) for k, v in columns.items()}

    @tf.function
    def evaluate():
        metric.update_state(model.query(x), model.candidate(x))

    for turn in range(2):
        wall0, cpu0 = time.perf_counter(), time.process_time()
        evaluate()
        wall, cpu = time.perf_counter() - wall0, time.process_time() - cpu0
    scale = recordings / part * 10000 / n
    print(f"evaluation\t{wall * scale:.6f}\t{cpu * scale:.6f}")
