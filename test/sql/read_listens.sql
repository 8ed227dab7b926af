-- Rows come out of the executor in slots of several kinds; their memory goes
-- with the next row: pages, tuples that a sort holds, values made for the row.
-- The listens read must not depend on it; more rows than a batch, and values that
-- lie out of line.
SET client_min_messages = warning;
CREATE TEMP TABLE play AS
SELECT 1 + i * 7 % 50::bigint AS user_id,
	timestamptz '2024-01-01 00:00+00' + i * interval '1 minute' AS listened_at,
	md5((i * i % 997)::text)::uuid AS recording_msid,
	CASE WHEN i * i % 997 % 10 > 0 THEN repeat('title ' || i * i % 997 || ' ', i * i % 997 % 400 + 1) END AS title,
	ARRAY['a' || i * i % 997 % 11, NULL, 'b' || i * i % 997 % 13] AS tags,
	(i * i % 997)::numeric / 7 AS year
FROM generate_series(1, 5000) AS i;
RESET client_min_messages;
CREATE TEMP TABLE way (model text, query text);
INSERT INTO way VALUES
	('page', 'TABLE play'),
	('sort', 'SELECT * FROM play ORDER BY listened_at'),
	('made', $$SELECT user_id + 0 AS user_id, listened_at, recording_msid::text::uuid AS recording_msid, title || '' AS title, tags || '{}'::text[] AS tags, year + 0 AS year FROM play$$),
	('join', 'SELECT p.* FROM play AS p JOIN (SELECT 1 AS one) AS x ON x.one > 0'),
	('turn', 'SELECT year, title, recording_msid, tags, listened_at, user_id FROM play');
SELECT model, n.epoch
FROM way, LATERAL lbrec_train(model, query, epochs => 1, settings => '{"ensemble": 1, "embedding_dim": 8}', split => 'none', activate => false) AS n;
-- all as the first way, for the last has its columns in another order
SELECT w.model, count(*) AS arrays, bool_and(t.data = p.data) AS same
FROM way AS w JOIN lbrec.model AS m ON m.name = w.model
	JOIN lbrec.tensor AS t ON t.model = m.id
	JOIN lbrec.tensor AS p ON p.model = (SELECT id FROM lbrec.model WHERE name = 'page')
		AND (p.name, p.chunk) = (t.name, t.chunk)
WHERE w.model <> 'turn' OR t.name ~ 'key|code|^history_plays|listens$'
GROUP BY 1 ORDER BY 1;
-- and what was read is what is there: each key once, whole, in the order of bytes
SELECT t.name, string_agg(t.data, '' ORDER BY t.chunk) = k.keys AS same
FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id,
	LATERAL (SELECT string_agg(convert_to(key, 'UTF8'), '' ORDER BY convert_to(key, 'UTF8')) AS keys
		FROM (SELECT title, min(listened_at) FROM play WHERE t.name = 'title_keys' AND title IS NOT NULL GROUP BY title
			UNION ALL
			SELECT tag, min(listened_at + place * interval '1 second') FROM play, unnest(tags) WITH ORDINALITY AS u (tag, place)
			WHERE t.name = 'tags_keys' AND tag IS NOT NULL GROUP BY tag) AS x (key, first)) AS k
WHERE m.name = 'page' AND t.name IN ('title_keys', 'tags_keys')
GROUP BY t.name, k.keys ORDER BY 1;
SELECT count(lbrec_drop_model(model)) AS dropped FROM way;
