#!/usr/bin/env python3
"""The tables of PEERS.md with a row of ours: the mean, if there are several runs.

usage: table.py sets SHARED                     the sets that prepare.py loads
       table.py table SHARED SET SECONDS        reads what evaluate.py printed
"""
import os
import re
import statistics
import sys


def sets(shared):
    sys.path.insert(0, os.path.join(shared, 'tools'))
    sys.dont_write_bytecode = True
    import prepare
    return list(prepare.LOADERS)


def peers(shared, name):
    """The rows of the table whose first cell begins with the set's name."""
    rows = []
    with open(os.path.join(shared, 'PEERS.md'), encoding='utf-8') as f:
        for line in f:
            cells = [c.strip() for c in line.strip().strip('|').split('|')]
            if rows and not line.startswith('|'):
                break
            if rows or line.startswith('| %s:' % name):
                rows.append(cells)
    return rows


def scores(lines):
    """What evaluate.py printed for each run, by the names that the tables use."""
    found = {}
    for line in lines:
        m = re.match(r'k +(\d+) +new: recall ([\d.]+) +ndcg ([\d.]+) .*listen: top-k ([\d.]+)', line)
        if m:
            k, recall, ndcg, listens = m.groups()
            for column, value in (('recall@', recall), ('@', recall), ('NDCG@', ndcg), ('top-', listens)):
                found.setdefault(column + k, []).append(float(value))
    return found


def show(cell):
    return ('%.3f' % cell).lstrip('0')


def table(shared, name, seconds):
    ours = scores(sys.stdin)
    rows = peers(shared, name)
    # a set that PEERS.md does not have
    if not rows:
        rows = [[name + ': new recordings', 'recall@10', '@20', '@50', '@100', 'NDCG@20',
                 'all listens: top-10', 'top-50', 'top-100'], ['---'] * 9]
    head = rows[0]
    runs = [ours.get(h.split(': ')[-1]) for h in head[1:]]
    mine = [statistics.mean(r) if r else None for r in runs]
    first = []
    for i, value in enumerate(mine, 1):
        best = max([float(r[i].strip('*')) for r in rows[2:]], default=1)
        first.append(value is not None and value > best)
    print()
    for r in rows:
        print('| ' + ' | '.join(r) + ' |')
    print('| lbrec | ' + ' | '.join('' if v is None else '**%s**' % show(v) if f else show(v)
                                    for v, f in zip(mine, first)) + ' |')
    if max(len(r or []) for r in runs) > 1:
        print('| standard deviation | ' + ' | '.join('' if r is None else '%.4f' % statistics.stdev(r)
                                                     for r in runs) + ' |')
    place = 'first in %d of %d columns' % (sum(first), len(first)) if rows[2:] else 'no peers known'
    print('\n%s: %s; training took %s s' % (name, place, seconds))


if len(sys.argv) == 3 and sys.argv[1] == 'sets':
    print(' '.join(sets(sys.argv[2])))
elif len(sys.argv) == 5 and sys.argv[1] == 'table':
    table(*sys.argv[2:])
else:
    sys.exit(__doc__)
