#!/usr/bin/env python3
"""Makes parity cases: small models trained by TensorFlow Recommenders.

    python3 -m venv build/tfrs
    build/tfrs/bin/pip install tensorflow==2.21.0 tf-keras==2.21.0 \\
        tensorflow-recommenders==0.7.7
    build/tfrs/bin/python test/parity/make_cases.py DIR CASE...
    make parity VECTORS=DIR

A CASE is NAME or NAME:KEY=VALUE,... with the keys of DEFAULTS below; layers
are joined by "x": odd:layers=48x17,batch_size=50,seed=3.  --sweep N --seed S
makes N cases of drawn sizes, layers and variants instead; half of them have
three layers or more, where rounding grows the most.

The model is the preprint's (two towers of Keras layers under a tfrs.Model
with a tfrs.tasks.Retrieval, Adagrad); what comes out is written as
little-endian arrays, NAME.f32 or NAME.i32, beside a manifest.json.  See
test/parity/README.md.
"""

import argparse
import json
import os
import pathlib
import random

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tensorflow_recommenders as tfrs  # noqa: E402

keras = tf.keras
KS = (1, 5, 10, 50, 100)
VARIANTS = ("plain", "logq", "accidental", "temperature")
DEFAULTS = {
    "variant": "plain",
    "layers": [32],
    "seed": 1,
    "users": 60,
    "recordings": 300,
    "artists": 40,
    "time_buckets": 1000,
    "train_listens": 320,
    "test_listens": 100,
    "batch_size": 64,
    "epochs": 3,
    "embedding_dim": 32,
}


def make_listens(case, rng):
    """Listens with a Zipf-like popularity; row 0 of every table is unknown."""
    n = case["train_listens"] + case["test_listens"]
    popularity = 1.0 / np.arange(1, case["recordings"] + 1)
    popularity /= popularity.sum()
    artist_of = rng.integers(1, case["artists"] + 1, case["recordings"])
    recording = rng.choice(case["recordings"], n, p=popularity) + 1
    seconds = 1100000000.0 + rng.integers(0, 10000000, n)
    edges = np.linspace(seconds.min(), seconds.max(), case["time_buckets"])
    bucket = keras.layers.Discretization(edges.tolist())
    mean, variance = seconds.mean(), seconds.var()
    arrays = {
        "listen_user": rng.integers(1, case["users"] + 1, n),
        "listen_bucket": bucket(seconds).numpy(),
        "listen_recording": recording,
        "listen_artist": artist_of[recording - 1],
        "listen_time": (seconds - mean) / np.sqrt(variance),
        "recording_artist": artist_of,
    }
    stamp = {
        "mean": mean,
        "variance": variance,
        "first_edge": edges[0],
        "last_edge": edges[-1],
    }
    return arrays, stamp


class TwoTower(tfrs.Model):
    """The preprint's towers, from row numbers on."""

    def __init__(self, case):
        super().__init__()
        d = case["embedding_dim"]
        rows = {
            "user": case["users"],
            "time": case["time_buckets"],
            "recording": case["recordings"],
            "artist": case["artists"],
        }
        self.tables = {
            name: keras.layers.Embedding(n + 1, d) for name, n in rows.items()
        }
        self.towers = {}
        for tower in ("query", "candidate"):
            dense = [
                keras.layers.Dense(h, activation="relu")
                for h in case["layers"][:-1]
            ]
            dense.append(keras.layers.Dense(case["layers"][-1]))
            self.towers[tower] = keras.Sequential(dense)
        self.variant = case["variant"]
        options = {}
        if self.variant == "accidental":
            options["remove_accidental_hits"] = True
        if self.variant == "temperature":
            options["temperature"] = case["temperature"]
        self.task = tfrs.tasks.Retrieval(**options)

    def query(self, user, bucket, time):
        x = [self.tables["user"](user), self.tables["time"](bucket)]
        x.append(tf.reshape(time, (-1, 1)))
        return self.towers["query"](tf.concat(x, axis=1))

    def candidate(self, recording, artist):
        x = [self.tables["recording"](recording), self.tables["artist"](artist)]
        return self.towers["candidate"](tf.concat(x, axis=1))

    def compute_loss(self, inputs, training=False):
        options = {}
        if self.variant == "accidental":
            options["candidate_ids"] = inputs["recording"]
        if self.variant == "logq":
            options["candidate_sampling_probability"] = inputs["share"]
        return self.task(
            self.query(inputs["user"], inputs["bucket"], inputs["time"]),
            self.candidate(inputs["recording"], inputs["artist"]),
            compute_metrics=False,
            **options,
        )

    def weights_by_name(self):
        found = {
            f"{name}_embedding": table.embeddings.numpy()
            for name, table in self.tables.items()
        }
        for tower, layers in self.towers.items():
            for i, layer in enumerate(layers.layers):
                found[f"{tower}_kernel_{i}"] = layer.kernel.numpy()
                found[f"{tower}_bias_{i}"] = layer.bias.numpy()
        return found


def top_k(scores, true, ks):
    """Share of queries whose true candidate has fewer than k above it."""
    own = scores[np.arange(len(true)), true]
    above = (scores > own[:, None]).sum(axis=1)
    return {str(k): float((above < k).mean()) for k in ks}


def library_top_k(model, case, queries, candidates, true):
    metric = tfrs.metrics.FactorizedTopK(
        candidates=tf.data.Dataset.from_tensor_slices(candidates).batch(64),
        ks=[k for k in KS if k <= case["recordings"]],
    )
    metric.update_state(queries, tf.gather(candidates, true))
    ks = [k for k in KS if k <= case["recordings"]]
    return {str(k): float(m.result()) for k, m in zip(ks, metric._top_k_metrics)}


def make_case(folder, case):
    keras.utils.set_random_seed(case["seed"])
    rng = np.random.default_rng(case["seed"])
    case["temperature"] = (
        case.get("temperature", 0.2) if case["variant"] == "temperature" else 1.0
    )
    arrays, stamp = make_listens(case, rng)
    train = case["train_listens"]
    count = np.bincount(arrays["listen_recording"][:train], minlength=1)
    columns = {
        name: arrays[f"listen_{name}"].astype(np.int32)
        for name in ("user", "bucket", "recording", "artist")
    }
    columns["time"] = arrays["listen_time"].astype(np.float32)
    share = count[columns["recording"][:train]] / train
    columns["share"] = np.maximum(share, 1e-6).astype(np.float32)

    model = TwoTower(case)
    optimizer = keras.optimizers.Adagrad(0.1)
    model.compile(optimizer=optimizer)
    pick = lambda rows: {k: tf.constant(v[rows]) for k, v in columns.items()}  # noqa: E731
    order = np.stack([rng.permutation(train) for _ in range(case["epochs"])])
    first = pick(order[0][: case["batch_size"]])
    model.compute_loss(first)  # creates the weights
    for name, value in model.weights_by_name().items():
        arrays[f"initial_{name}"] = value
    with tf.GradientTape() as tape:
        loss = model.compute_loss(first)
    arrays["first_step_query_kernel_gradient"] = tape.gradient(
        loss, model.towers["query"].layers[0].kernel
    ).numpy()
    arrays["batch_order"] = order

    step = tf.function(model.train_step, reduce_retracing=True)
    losses = []
    for epoch in order:
        for at in range(0, train, case["batch_size"]):
            batch = pick(epoch[at : at + case["batch_size"]])
            losses.append(float(step(batch)["loss"]))

    for name, value in model.weights_by_name().items():
        arrays[f"final_{name}"] = value
    test = {k: v[train:] for k, v in columns.items() if k != "share"}
    queries = model.query(test["user"], test["bucket"], test["time"]).numpy()
    ids = np.arange(1, case["recordings"] + 1, dtype=np.int32)
    candidates = model.candidate(
        ids, arrays["recording_artist"].astype(np.int32)
    ).numpy()
    arrays["test_query_vectors"] = queries
    arrays["candidate_vectors"] = candidates
    true = test["recording"] - 1
    scores = queries.astype(np.float64) @ candidates.astype(np.float64).T

    folder.mkdir(parents=True, exist_ok=True)
    described = {}
    for name, value in arrays.items():
        kind = "f32" if np.issubdtype(value.dtype, np.floating) else "i32"
        value = value.astype("<f4" if kind == "f32" else "<i4")
        value.tofile(folder / f"{name}.{kind}")
        described[name] = {"dtype": kind, "shape": list(value.shape)}
    manifest = {
        "reference": "tensorflow-recommenders v%s, tensorflow %s"
        % (tfrs.__version__.lstrip("v"), tf.__version__),
        **case,
        "optimizer": {
            "name": "adagrad",
            "learning_rate": 0.1,
            "initial_accumulator": 0.1,
            "epsilon": 1e-7,
        },
        "timestamp": stamp,
        "loss_of_each_step": losses,
        "arrays": described,
        "top_k_accuracy_as_the_library_counts": library_top_k(
            model, case, queries, candidates, true
        ),
        "top_k_accuracy": top_k(
            scores, true, [k for k in KS if k <= case["recordings"]]
        ),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    print(
        f"{folder.name}: {case['variant']}, layers {case['layers']}, "
        f"{len(losses)} steps, loss {losses[0]:.2f} to {losses[-1]:.2f}",
        flush=True,
    )


def parse_case(text):
    name, _, settings = text.partition(":")
    case = dict(DEFAULTS)
    for pair in filter(None, settings.split(",")):
        key, _, value = pair.partition("=")
        if key not in DEFAULTS and key != "temperature":
            raise SystemExit(f"make_cases.py: unknown key {key!r} in {text!r}")
        if key == "layers":
            case[key] = [int(h) for h in value.split("x")]
        elif key == "variant":
            case[key] = value
        else:
            case[key] = float(value) if key == "temperature" else int(value)
    if case["variant"] not in VARIANTS:
        raise SystemExit(f"make_cases.py: unknown variant {case['variant']!r}")
    return name, case


def drawn_case(i, rng):
    """Sizes that divide nothing, up to the preprint's batch."""
    width = rng.choice((16, 17, 24, 32, 32, 48, 64))
    if i % 2:
        layers = rng.choice(([128, 64], [256, 128], [96, 48], [67, 51, 40]))
        layers = layers + [width]
    else:
        layers = rng.choice(([], [64], [50], [128])) + [width]
    train = rng.choice((64, 320, 333, 1000, 4096, 5000))
    case = dict(
        DEFAULTS,
        variant=VARIANTS[i // 2 % 4],
        layers=layers,
        seed=rng.randrange(1, 1 << 30),
        users=rng.choice((7, 60, 200, 3000)),
        recordings=rng.choice((120, 300, 301, 5000, 20000)),
        artists=rng.choice((5, 40, 777)),
        time_buckets=rng.choice((2, 10, 100, 1000)),
        train_listens=train,
        test_listens=rng.choice((37, 100, 400)),
        batch_size=rng.choice([b for b in (50, 64, 100, 512, 2048, 5000) if b <= 2 * train]),
        epochs=rng.choice((1, 3, 5)),
        embedding_dim=rng.choice((8, 17, 32, 32, 48, 64)),
    )
    return "drawn-%02d" % i, case


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dir", type=pathlib.Path, metavar="DIR")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--sweep", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    args = parser.parse_intermixed_args()
    cases = [parse_case(text) for text in args.cases]
    rng = random.Random(args.seed)
    cases += [drawn_case(i, rng) for i in range(args.sweep)]
    if not cases:
        parser.error("no CASE given, and no --sweep")
    for name, case in cases:
        make_case(args.dir / name, case)


if __name__ == "__main__":
    main()
