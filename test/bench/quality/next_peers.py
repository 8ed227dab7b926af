#!/usr/bin/env python3
"""Session neighbours as peers of lbrec_next, in the same protocol.

usage: next_peers.py LISTENS [EVERY]

LISTENS has lines of user, recording and seconds, by tabs, in the order of
time.  The first 80 % are the training; each later listen (or every EVERY-th)
is ranked just before it happens.  Known are the sessions of the training, the
user's own sessions since, and the session at hand; a session ends where an
hour passes without a listen.

  VSKNN  Ludewig and Jannach, UMUAI 2018: the 100 nearest of the 500 latest
         sessions that share a recording; the session's latest plays weigh
         most, and so do matches near its end; times the log of rarity.
  STAN   Garg and others, SIGIR 2019: the decay of the session at hand, of a
         session's age, and of the distance to the match, each exponential;
         the 200 nearest of 1000.

Rows: name, recall@10, MRR, and both of recordings new to the user, among
these; then the number of listens.  Recordings without a score follow by
popularity; equal scores count for the one looked for.  A recording that the
training lacks is a miss.
"""
import collections
import math
import sys

GAP = 3600
CUT = 0.8


class Sessions:
    """Finished sessions: recordings and the time of the last one."""

    def __init__(self):
        self.items = []
        self.ends = []
        self.owners = []
        self.having = collections.defaultdict(list)

    def add(self, items, end, owner):
        number = len(self.items)
        self.items.append(items)
        self.ends.append(end)
        self.owners.append(owner)
        for item in set(items):
            self.having[item].append(number)

    def near(self, current, most, user, frozen):
        """The latest sessions that share a recording: of all up to the
        frozen number, of the user after it."""
        found = set()
        for item in set(current):
            taken = 0
            for number in reversed(self.having.get(item, ())):
                if number >= frozen and self.owners[number] != user:
                    continue
                found.add(number)
                taken += 1
                if taken == most:
                    break
        return sorted(found, reverse=True)[:most]


def vsknn(current, now, sessions, user, frozen, idf):
    weight = {}
    for place, item in enumerate(current, 1):
        weight[item] = place / len(current)
    near = []
    for number in sessions.near(current, 500, user, frozen):
        items = set(sessions.items[number])
        near.append((sum(weight.get(i, 0) for i in items), number))
    near.sort(reverse=True)
    scores = collections.defaultdict(float)
    for similarity, number in near[:100]:
        items = sessions.items[number]
        step = next((s for s, i in enumerate(reversed(current)) if i in items), 0)
        for item in set(items):
            scores[item] += similarity * max(1 - 0.1 * step, 0.1) * idf.get(item, 0)
    return scores


def stan(current, now, sessions, user, frozen, idf):
    weight = {}
    for back, item in enumerate(reversed(current)):
        weight.setdefault(item, math.exp(-back / 1.04))
    length = math.sqrt(sum(w * w for w in weight.values()))
    near = []
    for number in sessions.near(current, 1000, user, frozen):
        items = sessions.items[number]
        shared = sum(weight.get(i, 0) for i in set(items))
        age = max(now - sessions.ends[number], 0) / 86400
        near.append((shared / (length * math.sqrt(len(items))) * math.exp(-age / 40), number))
    near.sort(reverse=True)
    scores = collections.defaultdict(float)
    for similarity, number in near[:200]:
        items = sessions.items[number]
        match = max((p for p, i in enumerate(items) if i in weight), default=0)
        for place, item in enumerate(items):
            if place != match:
                scores[item] += similarity * math.exp(-abs(place - match) / 2.05)
    return scores


class Measures:
    def __init__(self):
        self.n = self.n_new = 0
        self.sums = [0.0, 0.0, 0.0, 0.0]

    def add(self, rank, new_rank):
        self.n += 1
        if rank is not None:
            self.sums[0] += rank <= 10
            self.sums[1] += 1 / rank
        if new_rank is not None:
            self.n_new += 1
            self.sums[2] += new_rank <= 10
            self.sums[3] += 1 / new_rank


def ranks(scores, truth, played, above, popularity):
    """The rank among all, and among what was not played."""
    mine = scores.get(truth, 0)
    if mine > 0:
        rank = 1 + sum(s > mine for s in scores.values())
        return rank, 1 + sum(s > mine for i, s in scores.items() if i not in played)
    popular = popularity[truth]
    rank = 1 + above[popular] + sum(s > 0 and popularity.get(i, 0) <= popular
                                    for i, s in scores.items())
    new_rank = 1 + above[popular] - sum(popularity.get(i, 0) > popular for i in played)
    new_rank += sum(s > 0 and i not in played and popularity.get(i, 0) <= popular
                    for i, s in scores.items())
    return rank, new_rank


def main(path, every=1):
    with open(path, encoding='utf-8') as f:
        rows = [tuple(map(int, line.split('\t')[:3])) for line in f]
    cut = int(len(rows) * CUT)
    popularity = collections.Counter(item for _, item, _ in rows[:cut])
    listens = collections.Counter(popularity.values())
    above, n = {}, 0
    for count in sorted(listens, reverse=True):
        above[count] = n
        n += listens[count]
    sessions = Sessions()
    current = collections.defaultdict(list)
    last = {}
    played = collections.defaultdict(set)
    frozen = None
    idf = {}
    measures = {'VSKNN': (vsknn, Measures()), 'STAN': (stan, Measures())}
    for place, (user, item, time) in enumerate(rows):
        if place == cut:
            frozen = len(sessions.items)
            idf = {i: math.log(frozen / len(s)) for i, s in sessions.having.items()}
        if user in last and time - last[user] >= GAP and current[user]:
            sessions.add(current[user], last[user], user)
            current[user] = []
        if place >= cut and (place - cut) % every == 0:
            for find, measure in measures.values():
                if item not in popularity:
                    measure.add(None, None)
                    continue
                scores = find(current[user], time, sessions, user, frozen, idf) \
                    if current[user] else {}
                rank, new_rank = ranks(scores, item, played[user], above, popularity)
                measure.add(rank, None if item in played[user] else new_rank)
        current[user].append(item)
        last[user] = time
        played[user].add(item)
    for name, (_, m) in measures.items():
        print(name, *('%.4f' % (s / max(d, 1)) for s, d in zip(m.sums, (m.n, m.n, m.n_new, m.n_new))),
              m.n, sep='\t')


if len(sys.argv) in (2, 3):
    main(sys.argv[1], *map(int, sys.argv[2:]))
else:
    sys.exit(__doc__)
