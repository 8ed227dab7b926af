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
DELETE FROM lbrec.model;
