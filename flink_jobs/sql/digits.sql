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
  CAST(CAST(COUNT(*) FILTER (WHERE `is_right`) AS DECIMAL(18, 0)) / NULLIF(COUNT(`actual_y`), 0) AS DECIMAL(5, 4))
    AS `accuracy`,
  MAX(`behind`) AS `most_behind`
FROM TABLE(TUMBLE(TABLE detail, DESCRIPTOR(`event_time`), INTERVAL '1' MINUTE))
GROUP BY `window_start`, `window_end`;

-- The last five minutes, each minute anew.
CREATE TEMPORARY VIEW class_counts AS
SELECT
  `window_start`,
  `window_end`,
  `actual_y`,
  COUNT(*) AS `digits`,
  COUNT(*) FILTER (WHERE `is_right`) AS `right`
FROM TABLE(HOP(TABLE detail, DESCRIPTOR(`event_time`), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE))
WHERE `actual_y` IS NOT NULL
GROUP BY `window_start`, `window_end`, `actual_y`;

CREATE TEMPORARY VIEW window_counts AS
SELECT `window_start`, `window_end`, SUM(`digits`) AS `digits`
FROM class_counts
GROUP BY `window_start`, `window_end`;

CREATE TEMPORARY VIEW by_class AS
SELECT
  c.`window_start`,
  c.`window_end`,
  c.`actual_y`,
  c.`digits`,
  c.`right`,
  CAST(CAST(c.`right` AS DECIMAL(18, 0)) / c.`digits` AS DECIMAL(5, 4)) AS `accuracy`,
  CAST(CAST(c.`digits` AS DECIMAL(18, 0)) / w.`digits` AS DECIMAL(5, 4)) AS `share`
FROM class_counts AS c
JOIN window_counts AS w ON c.`window_start` = w.`window_start` AND c.`window_end` = w.`window_end`;

CREATE TEMPORARY VIEW confusion AS
SELECT `actual_y`, `predict_y`, COUNT(*) AS `digits`
FROM detail
WHERE `actual_y` IS NOT NULL AND `predict_y` IS NOT NULL
GROUP BY `actual_y`, `predict_y`;

-- What the learning job could not take, by the hour in which it was set aside.
CREATE TEMPORARY VIEW refused AS
SELECT
  `window_start`,
  `window_end`,
  `kind`,
  COUNT(*) AS `records`,
  MIN(`reason`) AS `example`
FROM (
  SELECT
    FLOOR(CAST(`event_time` AS TIMESTAMP(3)) TO HOUR) AS `window_start`,
    TIMESTAMPADD(HOUR, 1, FLOOR(CAST(`event_time` AS TIMESTAMP(3)) TO HOUR)) AS `window_end`,
    `reason`,
    CASE
      WHEN `reason` LIKE 'sent again:%' THEN 'repeated'
      WHEN `reason` = 'skipped on request' THEN 'skipped'
      WHEN `reason` LIKE 'a control record%' THEN 'control'
      WHEN `reason` = 'the value is null' OR `reason` LIKE 'the value of % bytes is over%'
        OR `reason` LIKE 'JSON is malformed%' OR `reason` LIKE 'Input data was truncated%' THEN 'unreadable'
      ELSE 'invalid'
    END AS `kind`
  FROM `handwritten_digit.dead_letter`
)
GROUP BY `window_start`, `window_end`, `kind`;

EXECUTE STATEMENT SET BEGIN
  INSERT INTO `digits.detail` SELECT * FROM detail;
  INSERT INTO `digits.summary.minute` SELECT * FROM by_minute;
  INSERT INTO `digits.summary.class` SELECT * FROM by_class;
  INSERT INTO `digits.summary.confusion` SELECT * FROM confusion;
  INSERT INTO `digits.summary.refused` SELECT * FROM refused;
END;
