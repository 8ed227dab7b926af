--
-- lbrec_curves_svg: well-formed, one line a model, names escaped
--
\i test/sql/listens.inc
SELECT count(*) FROM lbrec_train('one', epochs => 4, settings => '{"evaluate_every": 1}');
SELECT count(*) FROM lbrec_train('<b>&"two"', epochs => 6, settings => '{"evaluate_every": 2}');
CREATE TEMP TABLE svg AS
SELECT f AS figure, lbrec_curves_svg('{one,"<b>&\"two\""}', f) AS text
FROM unnest('{loss,test_loss,top_1,top_5,top_10,top_50,top_100}'::text[]) AS f;
SELECT figure, left(text, 4) = '<svg' AND right(text, 7) = E'</svg>\n' AS whole,
	(length(text) - length(replace(text, 'stroke-width="2" d=', ''))) / length('stroke-width="2" d=') AS lines,
	position('>one<' IN text) > 0 AND position('&lt;b&gt;&amp;&quot;two&quot;' IN text) > 0 AS legend,
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
	(length(text) - length(replace(text, 'height="7"', ''))) / length('height="7"') AS squares
FROM svg WHERE figure = 'top_10';
-- nothing but words and numbers: no NaN reaches a viewer
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
DELETE FROM lbrec.model;
