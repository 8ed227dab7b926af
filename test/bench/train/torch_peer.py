"""The preprint's model in PyTorch, as fast as we can write it on a CPU.

    torch_peer.py LISTENS.tsv USERS RECORDINGS ARTISTS BATCH STEPS LAYERS THREADS hand|autograd

"hand": gradients written out, matrix products by torch, and an Adagrad that
touches the batch's rows alone.  "autograd": nn.Embedding(sparse=True) and
torch.optim.Adagrad.  Starts from integer codes.  Prints the least wall and
the least processor seconds of six rounds of STEPS steps.
"""

import sys
import time

import numpy
import torch
from torch import nn

path, users, recordings, artists, batch, steps, layers, threads, way = sys.argv[1:]
batch, steps, threads = int(batch), int(steps), int(threads)
layers = [int(h) for h in layers.split(",")]
torch.set_num_threads(threads)
torch.manual_seed(1)
D, BUCKETS, RATE, EPS = 32, 1000, 0.1, 1e-7
data = torch.from_numpy(numpy.loadtxt(path, dtype=numpy.int64))
share = (data[:, 3] - data[:, 3].min()) / (data[:, 3].max() - data[:, 3].min())
CODES = [data[:, 0], 1 + (share * (BUCKETS - 1)).long(), data[:, 1], data[:, 2]]
TIME = (3.5 * share - 1.75).float()
ROWS = [int(users) + 1, BUCKETS + 1, int(recordings) + 1, int(artists) + 1]


def make_hand():
    tables = [torch.empty(n, D).uniform_(-0.05, 0.05) for n in ROWS]
    sums = [torch.full_like(t, 0.1) for t in tables]
    towers = []
    for width in (2 * D + 1, 2 * D):
        weights = []
        for h in layers:
            limit = (6 / (width + h)) ** 0.5
            weights.append([torch.empty(width, h).uniform_(-limit, limit), torch.zeros(h)])
            width = h
        towers.append(weights)
    tower_sums = [[[torch.full_like(w, 0.1) for w in pair] for pair in t] for t in towers]

    def forward(x, weights):
        kept = [x]
        for i, (w, b) in enumerate(weights):
            x = torch.addmm(b, x, w)
            if i < len(weights) - 1:
                x.relu_()
            kept.append(x)
        return kept

    def update(w, a, g):
        a.addcmul_(g, g)
        w.addcdiv_(g, (a + EPS).sqrt_(), value=-RATE)

    def backward(kept, weights, sums_of, g):
        for i in range(len(weights) - 1, -1, -1):
            w, b = weights[i]
            dw, db = kept[i].t() @ g, g.sum(0)
            g = g @ w.t()
            if i > 0:
                g *= kept[i] > 0
            update(w, sums_of[i][0], dw)
            update(b, sums_of[i][1], db)
        return g

    def update_rows(k, rows, g):
        unique, at = torch.unique(rows, return_inverse=True)
        total = torch.zeros(len(unique), D).index_add_(0, at, g)
        a = sums[k].index_select(0, unique).addcmul_(total, total)
        sums[k].index_copy_(0, unique, a)
        tables[k].index_add_(0, unique, total / (a + EPS).sqrt_(), alpha=-RATE)

    def step(index):
        rows = [c[index] for c in CODES]
        e = [t.index_select(0, r) for t, r in zip(tables, rows)]
        q = forward(torch.cat([e[0], e[1], TIME[index][:, None]], 1), towers[0])
        c = forward(torch.cat(e[2:], 1), towers[1])
        s = q[-1] @ c[-1].t()
        p = torch.softmax(s, 1)
        own = p.diagonal()
        loss = -own.log().sum()
        own -= 1
        dq, dc = p @ c[-1], p.t() @ q[-1]
        dq = backward(q, towers[0], tower_sums[0], dq)
        dc = backward(c, towers[1], tower_sums[1], dc)
        for k, g in enumerate((dq[:, :D], dq[:, D : 2 * D], dc[:, :D], dc[:, D:])):
            update_rows(k, rows[k], g)
        return loss

    return torch.no_grad()(step)


def make_autograd():
    tables = nn.ModuleList(nn.Embedding(n, D, sparse=True) for n in ROWS)
    towers = []
    for width in (2 * D + 1, 2 * D):
        parts = []
        for h in layers:
            parts += [nn.Linear(width, h), nn.ReLU()]
            width = h
        towers.append(nn.Sequential(*parts[:-1]))
    for t in tables:
        nn.init.uniform_(t.weight, -0.05, 0.05)
    parameters = [p for m in (*tables, *towers) for p in m.parameters()]
    optimizer = torch.optim.Adagrad(parameters, RATE, initial_accumulator_value=0.1, eps=EPS)

    def step(index):
        e = [t(c[index]) for t, c in zip(tables, CODES)]
        q = towers[0](torch.cat([e[0], e[1], TIME[index][:, None]], 1))
        c = towers[1](torch.cat(e[2:], 1))
        target = torch.arange(len(index))
        loss = nn.functional.cross_entropy(q @ c.t(), target, reduction="sum")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss

    return step


step = make_hand() if way == "hand" else make_autograd()
wall = cpu = float("inf")
for turn in range(7):
    batches = [torch.randint(len(data), (batch,)) for _ in range(steps)]
    wall0, cpu0 = time.perf_counter(), time.process_time()
    for index in batches:
        loss = step(index)
    if turn:
        wall = min(wall, time.perf_counter() - wall0)
        cpu = min(cpu, time.process_time() - cpu0)
assert torch.isfinite(loss)
print(f"{wall:.6f}\t{cpu:.6f}")
