-- digits: from the answers to the detail and the summaries.

SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '2 s';
SET 'table.exec.mini-batch.size' = '5000';
SET 'table.exec.source.idle-timeout' = '60 s';

-- Every answer is one to a valid digit: what is not has a dead letter.
CREATE TEMPORARY VIEW detail AS
SELECT
  `event_time`,
  `partition`,
  `offset`,
  `actual_y`,
  `predict_y`,
  `actual_y` = `predict_y` AS `is_right`,
  `offset` - `model_version` AS `behind`,
  `model_version`,
  `lineage`
FROM `digit_predict`
WHERE `offset` IS NOT NULL;

CREATE TEMPORARY VIEW by_minute AS
SELECT
  `window_start`,
  `window_end`,
  COUNT(*) AS `digits`,
  COUNT(`actual_y`) AS `labelled`,
  COUNT(*) FILTER (WHERE `is_right`) AS `right`,
  MAX(`behind`) AS `most_behind`
FROM TABLE(TUMBLE(TABLE detail, DESCRIPTOR(`event_time`), INTERVAL '1' MINUTE))
GROUP BY `window_start`, `window_end`;

-- The last five minutes, each minute anew.
CREATE TEMPORARY VIEW by_class AS
SELECT
  `window_start`,
  `window_end`,
  `actual_y`,
  COUNT(*) AS `digits`,
  COUNT(*) FILTER (WHERE `is_right`) AS `right`
FROM TABLE(HOP(TABLE detail, DESCRIPTOR(`event_time`), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE))
WHERE `actual_y` IS NOT NULL
GROUP BY `window_start`, `window_end`, `actual_y`;

CREATE TEMPORARY VIEW confusion AS
SELECT `actual_y`, `predict_y`, COUNT(*) AS `digits`
FROM detail
WHERE `actual_y` IS NOT NULL AND `predict_y` IS NOT NULL
GROUP BY `actual_y`, `predict_y`;

EXECUTE STATEMENT SET BEGIN
  INSERT INTO `digits.detail` SELECT * FROM detail;
  INSERT INTO `digits.summary.minute` SELECT * FROM by_minute;
  INSERT INTO `digits.summary.class` SELECT * FROM by_class;
  INSERT INTO `digits.summary.confusion` SELECT * FROM confusion;
END;
