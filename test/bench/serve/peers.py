"""Peers of run.sh that are Python libraries: faiss, and TFRS's BruteForce.

	peers.py faiss|tfrs FOLDER [graphs]

FOLDER has item.bin, query.bin and truth.bin as COPY (FORMAT binary) wrote
them.  Prints a line for each index: name, recall@100 against lbrec's exact
answers, least and median ms a query, CPU ms a query, seconds of building;
one query at a time on one thread.  What is missing is told in FOLDER/skipped.
"""
import os
import sys
import time

os.environ['OMP_NUM_THREADS'] = '1'
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
os.environ['TF_USE_LEGACY_KERAS'] = '1'
import numpy as np

K = 100
peer, folder = sys.argv[1:3]
graphs = 'graphs' in sys.argv[3:]


def read(name, fields):
    """A file of rows without nulls: each field with its length before it."""
    row = [('n', '>i2')]
    for field, kind, shape in fields:
        row.append((field + '_length', '>i4'))
        if shape:
            row.append((field + '_head', 'V20'))
            kind = np.dtype([('length', '>i4'), ('value', kind)])
        row.append((field, kind, shape or ()))
    row = np.dtype(row)
    data = open(os.path.join(folder, name), 'rb').read()
    rows = (len(data) - 19 - 2) // row.itemsize
    table = np.frombuffer(data, row, rows, 19)
    assert len(data) == 19 + rows * row.itemsize + 2 and (table['n'] == len(fields)).all()
    return table


items = read('item.bin', [('msid', 'V16', None), ('vector', '>f4', (32,))])
queries = read('query.bin', [('id', '>i4', None), ('vector', '>f4', (32,))])
truth = read('truth.bin', [('q', '>i4', None), ('msid', 'V16', None)])
c = np.ascontiguousarray(items['vector']['value'], dtype=np.float32)
q = np.ascontiguousarray(queries['vector']['value'], dtype=np.float32)
place = {m.tobytes(): i for i, m in enumerate(items['msid'])}
best = {int(n): set() for n in queries['id']}
for t in truth:
    best[int(t['q'])].add(place[t['msid'].tobytes()])


def measure(name, search, built, n=len(q)):
    for i in range(3):
        search(q[i:i + 1])
    times = []
    hits = 0
    cpu = time.process_time()
    for i in range(n):
        begun = time.perf_counter()
        found = search(q[i:i + 1])
        times.append(time.perf_counter() - begun)
        hits += len(best[int(queries['id'][i])] & set(np.asarray(found).ravel().tolist()))
    cpu = time.process_time() - cpu
    print(name, hits / (n * K), min(times) * 1000, np.median(times) * 1000,
          cpu / n * 1000, '%.0f' % built, sep='\t', flush=True)


def skip(why):
    with open(os.path.join(folder, 'skipped'), 'w') as f:
        f.write(str(why))
    sys.exit()


if peer == 'faiss':
    try:
        import faiss
    except ImportError as e:
        skip(e)
    faiss.omp_set_num_threads(1)
    version = 'faiss %s ' % faiss.__version__
    begun = time.perf_counter()
    index = faiss.IndexFlatIP(32)
    index.add(c)
    measure(version + 'flat', lambda x: index.search(x, K)[1],
            time.perf_counter() - begun)
    if not graphs:
        sys.exit()
    faiss.omp_set_num_threads(os.cpu_count())
    begun = time.perf_counter()
    graph = faiss.IndexHNSWFlat(32, 16, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = 100
    graph.add(c)
    built = time.perf_counter() - begun
    faiss.omp_set_num_threads(1)
    for ef in 128, 256, 512:
        graph.hnsw.efSearch = ef
        measure(version + 'HNSW M 16, ef %d' % ef,
                lambda x: graph.search(x, K)[1], built)
elif peer == 'tfrs':
    try:
        import tensorflow as tf
        import tensorflow_recommenders as tfrs
    except ImportError as e:
        skip(e)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    begun = time.perf_counter()
    brute = tfrs.layers.factorized_top_k.BruteForce(k=K)
    brute.index(tf.constant(c))
    call = tf.function(lambda x: brute(x)[1],
                       input_signature=[tf.TensorSpec([None, 32], tf.float32)])
    measure('TFRS %s BruteForce' % tfrs.__version__,
            lambda x: call(tf.constant(x)).numpy(), time.perf_counter() - begun)
