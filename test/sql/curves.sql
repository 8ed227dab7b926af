--
-- lbrec_curves_svg: well-formed, one line a model, names escaped
--
\i test/sql/listens.inc
SELECT count(*) FROM lbrec_train('one', epochs => 4, settings => '{"evaluate_every": 1}');
SELECT count(*) FROM lbrec_train('<b>&"two"', epochs => 6, settings => '{"evaluate_every": 2}');
CREATE TEMP TABLE svg AS
SELECT f AS figure, lbrec_curves_svg('{one,"<b>&\"two\""}', f) AS text
FROM unnest('{loss,test_loss,top_1,top_5,top_10,top_50,top_100,recall_20,ndcg_20,ndcg_100,mrr}'::text[]) AS f;
SELECT figure, left(text, 4) = '<svg' AND right(text, 7) = E'</svg>\n' AS whole,
	(length(text) - length(replace(text, 'stroke-width="2" d=', ''))) / length('stroke-width="2" d=') AS lines,
	position('>one 1<' IN text) > 0 AND position('>&lt;b&gt;&amp;&quot;two&quot; 1<' IN text) > 0 AND position('>on users&#39; last 20 %<' IN text) > 0 AS legend,
	position('>epoch<' IN text) > 0 AS axis
FROM svg ORDER BY figure;
-- an XML parser agrees, where the server was built with one
CREATE FUNCTION pg_temp.parses(text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RETURN xml_is_well_formed_document($1);
EXCEPTION WHEN feature_not_supported THEN
	RETURN true;
END $$;
SELECT count(*) FROM svg WHERE pg_temp.parses(text);
-- a marker for each epoch that has a value, and one in each legend
SELECT (length(text) - length(replace(text, '<circle', ''))) / length('<circle') AS circles,
	(length(text) - length(replace(text, 'v7h-7z', ''))) / length('v7h-7z') AS squares
FROM svg WHERE figure = 'top_10';
-- only words and numbers: no NaN reaches a viewer
SELECT count(*) FROM svg WHERE text ~* '(nan|inf)[^o]';
-- losses that hardly differ, or are beyond what can be drawn: a figure all the same
CREATE FUNCTION pg_temp.draw(losses float8[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE svg text;
BEGIN
	UPDATE lbrec.epoch AS e SET loss = losses[e.epoch] FROM lbrec.model AS m WHERE m.id = e.model AND m.name = 'one';
	svg := lbrec_curves_svg('{one}', 'loss');
	RETURN CASE WHEN svg ~* '(nan|inf)[^o]' THEN 'NaN' WHEN NOT pg_temp.parses(svg) THEN 'no XML'
		WHEN svg !~ 'text-anchor="end"' THEN 'no ticks' ELSE 'drawn' END;
EXCEPTION WHEN no_data_found THEN
	RETURN 'nothing to draw';
END $$;
SELECT losses, pg_temp.draw(losses) FROM (VALUES ('{1,1,1,1}'::float8[]), ('{4.1,4.100000000000001,4.1,4.1}'), ('{9007199254740992,9007199254740994,9007199254740992,9007199254740992}'),
	('{0,0,0,0}'), ('{-1e300,1e300,0,1}'), ('{5e-324,1e-323,5e-324,5e-324}'), ('{NaN,Infinity,-Infinity,2}'), ('{NaN,Infinity,-Infinity,1.7e308}')) AS v (losses);
-- a version that is not active, and what has no value is not in the legend
SELECT count(*) FROM lbrec_train('one', epochs => 2, split => 'none');
SELECT svg ~ '>one 1<' AS old, svg ~ '>one 2<' AS newest, svg ~ 'nothing held out' AS trained_on_all
FROM lbrec_curves_svg('{one,one}', 'top_10', '{1,NULL}') AS svg;
SELECT svg ~ '>one 1<' AS old, svg ~ '>one 2<' AS newest, svg ~ 'nothing held out' AS trained_on_all
FROM lbrec_curves_svg('{one,one}', 'loss', '{1,2}') AS svg;
SELECT lbrec_curves_svg('{one}', 'loss', '{1,2}');
SELECT lbrec_curves_svg('{one}', 'loss', '{0}');
SELECT lbrec_curves_svg('{one}', 'loss', '{9}');
SELECT lbrec_curves_svg(NULL) IS NULL AND lbrec_curves_svg('{one}', NULL) IS NULL AS nothing;
-- eight lines have eight markers and eight colours
CREATE TEMP TABLE eight AS
SELECT lbrec_curves_svg('{one,one,one,one,one,one,one,one}', 'loss', '{1,2,1,2,1,2,1,2}') AS svg;
SELECT count(DISTINCT m[1]) AS shapes, count(DISTINCT m[2]) AS colours
FROM eight, regexp_matches(svg, '<(?:circle r|path d)="([^"]*)" transform="[^"]*" fill="([^"]*)"', 'g') AS m;
-- the loss's axis begins at zero where that is near, else below the least loss
CREATE FUNCTION pg_temp.begins_at(losses float8[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	UPDATE lbrec.epoch AS e SET loss = losses[e.epoch] FROM lbrec.model AS m WHERE m.id = e.model AND m.name = 'one' AND m.version = 2;
	RETURN (regexp_match(lbrec_curves_svg('{one}', 'loss'), 'text-anchor="end">([^<]*)<'))[1];
END $$;
SELECT losses, pg_temp.begins_at(losses) FROM (VALUES ('{4,2}'::float8[]), ('{104,101}'), ('{3,3}'), ('{-1,-3}')) AS v (losses);
-- a long name is cut in the legend, between characters, and whole in its title
UPDATE lbrec.model SET name = repeat('ö', 60) WHERE name = 'one';
SELECT svg ~ ('>' || repeat('&#246;', 18) || '&#8230; 1<') AS cut, svg ~ ('<title>' || repeat('&#246;', 60) || '</title>') AS whole
FROM lbrec_curves_svg(ARRAY[repeat('ö', 60)], 'loss', '{1}') AS svg;
DELETE FROM lbrec.model;
