"""How others read a dump's lines: peers.py json|orjson|duckdb FILE [OUT]."""
import csv
import sys

how, path = sys.argv[1:3]

if how == 'duckdb':
    import duckdb
    duckdb.sql("SET threads = 2")
    duckdb.sql(f"""COPY (SELECT user_id, "timestamp", recording_msid,
        track_metadata.artist_name, track_metadata.track_name,
        track_metadata.release_name
        FROM read_ndjson('{path}', columns = {{user_id: 'BIGINT',
            "timestamp": 'BIGINT', recording_msid: 'VARCHAR',
            track_metadata: 'STRUCT(artist_name VARCHAR, track_name VARCHAR,
                release_name VARCHAR)'}}, maximum_object_size = 20000000))
        TO '{sys.argv[3]}' (FORMAT csv)""")
    sys.exit()

# The preprint's notebook reads a line at a time with json.loads, keeps the
# fields it wants in a dict and the dicts in a list; writing CSV stands for
# the data frame that it makes of the list.
if how == 'orjson':
    from orjson import loads
else:
    from json import loads
out = csv.writer(sys.stdout)
rows = []
with open(path, 'rb') as lines:
    for line in lines:
        listen = loads(line)
        metadata = listen['track_metadata']
        rows.append((listen['user_id'], listen['timestamp'],
                     listen['recording_msid'], metadata['artist_name'],
                     metadata['track_name'], metadata.get('release_name')))
out.writerows(rows)
