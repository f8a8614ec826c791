-- pm25: from the hours as they were sent to the detail and the summaries.
-- Numbers are summed up as decimals: the figures do not depend on the order in which they are added.

-- What a person may change at a running job's cost: updates of one key within so long are written once.
SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '2 s';
SET 'table.exec.mini-batch.size' = '5000';
-- A partition without records holds up no other.
SET 'table.exec.source.idle-timeout' = '60 s';

-- Which records can be taken, by the same limits as the pipeline's record type.
CREATE TEMPORARY VIEW records AS
SELECT
  *,
  COALESCE(
    TO_TIMESTAMP(`ts`) IS NOT NULL
    AND MINUTE(`event_time`) = 0 AND SECOND(`event_time`) = 0
    AND (`pollution` IS NULL OR `pollution` BETWEEN 0 AND 2000)
    AND `dew` BETWEEN -60 AND 60 AND `temp` BETWEEN -60 AND 60 AND `press` BETWEEN 850 AND 1100
    AND `wnd_dir` IN ('NW', 'NE', 'SE', 'cv') AND `wnd_spd` BETWEEN 0 AND 2000
    AND `snow` BETWEEN 0 AND 1000 AND `rain` BETWEEN 0 AND 1000,
    FALSE
  ) AS `is_valid`
FROM `pm25`;

CREATE TEMPORARY VIEW valid_records AS
SELECT * FROM records WHERE `is_valid`;

-- Of an hour that was sent again, the first counts. From here on the time attribute is the hour's last moment.
CREATE TEMPORARY VIEW hours AS
SELECT *
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY `window_start`, `window_end` ORDER BY `kafka_offset`) AS `nth`
  FROM TABLE(TUMBLE(TABLE valid_records, DESCRIPTOR(`event_time`), INTERVAL '1' HOUR))
)
WHERE `nth` = 1;

-- Each hour beside the one before.
CREATE TEMPORARY VIEW neighbours AS
SELECT
  *,
  LAG(`window_start`) OVER in_time AS `last_time`,
  LAG(`wnd_dir`) OVER in_time AS `last_dir`,
  LAG(`wnd_spd`) OVER in_time AS `last_spd`
FROM hours
WINDOW in_time AS (ORDER BY `window_time`);

CREATE TEMPORARY VIEW detail AS
SELECT
  `window_time` AS `moment`,
  `window_start` AS `event_time`,
  `pollution`,
  `dew`,
  `temp`,
  `press`,
  `wnd_dir`,
  -- The speed is cumulated while the direction holds: the hour's own is the difference.
  CAST(CASE
    WHEN `last_dir` = `wnd_dir` AND `last_spd` <= `wnd_spd`
    THEN (`wnd_spd` - `last_spd`) / TIMESTAMPDIFF(HOUR, `last_time`, `window_start`)
    ELSE `wnd_spd`
  END AS DECIMAL(10, 2)) AS `wind_ms`,
  -- August and Roche's formula; O. A. Alduchov, R. E. Eskridge (1996).
  ROUND(100 * EXP(17.625 * `dew` / (243.04 + `dew`)) / EXP(17.625 * `temp` / (243.04 + `temp`)), 1) AS `humidity`,
  CAST(HOUR(`window_start`) AS INT) AS `hour`,
  CASE
    WHEN MONTH(`window_start`) IN (3, 4, 5) THEN 'spring'
    WHEN MONTH(`window_start`) IN (6, 7, 8) THEN 'summer'
    WHEN MONTH(`window_start`) IN (9, 10, 11) THEN 'autumn'
    ELSE 'winter'
  END AS `season`,
  `kafka_partition` AS `partition`,
  `kafka_offset` AS `offset`
FROM neighbours;

CREATE TEMPORARY VIEW by_day AS
SELECT
  `window_start`,
  `window_end`,
  COUNT(*) AS `hours`,
  COUNT(`pollution`) AS `readings`,
  CAST(AVG(CAST(`pollution` AS DECIMAL(10, 3))) AS DECIMAL(10, 3)) AS `mean_ugm3`,
  MAX(`pollution`) AS `max_ugm3`,
  COUNT(*) FILTER (WHERE `pollution` > 75) AS `hours_above_75`
FROM TABLE(TUMBLE(TABLE detail, DESCRIPTOR(`moment`), INTERVAL '1' DAY))
GROUP BY `window_start`, `window_end`;

CREATE TEMPORARY VIEW by_wind AS
SELECT
  `window_start`,
  `window_end`,
  `wnd_dir`,
  COUNT(*) AS `hours`,
  COUNT(`pollution`) AS `readings`,
  CAST(AVG(CAST(`pollution` AS DECIMAL(10, 3))) AS DECIMAL(10, 3)) AS `mean_ugm3`,
  MAX(`pollution`) AS `max_ugm3`,
  COUNT(*) FILTER (WHERE `pollution` > 75) AS `hours_above_75`,
  CAST(AVG(`wind_ms`) AS DECIMAL(10, 3)) AS `wind_ms`
FROM TABLE(TUMBLE(TABLE detail, DESCRIPTOR(`moment`), INTERVAL '1' DAY))
GROUP BY `window_start`, `window_end`, `wnd_dir`;

CREATE TEMPORARY VIEW answers AS
SELECT *
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY `window_start`, `window_end` ORDER BY `kafka_offset`) AS `nth`
  FROM TABLE(TUMBLE(TABLE `pm25_forecast`, DESCRIPTOR(`event_time`), INTERVAL '1' HOUR))
)
WHERE `nth` = 1;

-- Forecasts one a row, with the hour that they are for; persistence says that it stays as it was.
CREATE TEMPORARY VIEW forecasts AS
SELECT
  a.`window_time` AS `moment`,
  a.`pollution` AS `persistence`,
  CAST(h.`horizon` AS INT) AS `horizon`,
  h.`forecast`,
  TIMESTAMPADD(HOUR, CAST(h.`horizon` AS INT), a.`window_start`) AS `target`
FROM answers AS a
CROSS JOIN UNNEST(a.`forecast`) AS h(`horizon`, `forecast`);

CREATE TEMPORARY VIEW truths AS
SELECT `window_time` AS `moment`, `window_start` AS `hour`, `pollution`
FROM answers
WHERE `pollution` IS NOT NULL;

-- Each forecast beside what came true, within the day that it looks ahead.
CREATE TEMPORARY VIEW errors AS
SELECT
  t.`moment`,
  t.`hour`,
  f.`horizon`,
  CAST(ABS(f.`forecast` - t.`pollution`) AS DECIMAL(12, 4)) AS `error`,
  CAST(ABS(f.`persistence` - t.`pollution`) AS DECIMAL(12, 4)) AS `persistence_error`
FROM truths AS t
JOIN forecasts AS f
  ON t.`hour` = f.`target`
 AND f.`moment` BETWEEN t.`moment` - INTERVAL '24' HOUR AND t.`moment`
WHERE f.`forecast` IS NOT NULL AND f.`persistence` IS NOT NULL;

CREATE TEMPORARY VIEW by_horizon AS
SELECT
  `window_start`,
  `window_end`,
  `horizon`,
  COUNT(*) AS `forecasts`,
  CAST(AVG(`error`) AS DECIMAL(12, 4)) AS `mae_ugm3`,
  CAST(AVG(`persistence_error`) AS DECIMAL(12, 4)) AS `persistence_mae_ugm3`
FROM TABLE(TUMBLE(TABLE errors, DESCRIPTOR(`moment`), INTERVAL '1' DAY))
GROUP BY `window_start`, `window_end`, `horizon`;

-- The same by hour of day, for each month. A month has no window of Flink's: each error is added as it comes.
CREATE TEMPORARY VIEW by_hour AS
SELECT
  `window_start`,
  `window_end`,
  `horizon`,
  `hour`,
  COUNT(*) AS `forecasts`,
  CAST(AVG(`error`) AS DECIMAL(12, 4)) AS `mae_ugm3`,
  CAST(AVG(`persistence_error`) AS DECIMAL(12, 4)) AS `persistence_mae_ugm3`,
  MAX(`reached`) AS `until`
FROM (
  SELECT
    FLOOR(`hour` TO MONTH) AS `window_start`,
    TIMESTAMPADD(MONTH, 1, FLOOR(`hour` TO MONTH)) AS `window_end`,
    `horizon`,
    CAST(HOUR(`hour`) AS INT) AS `hour`,
    `error`,
    `persistence_error`,
    `hour` AS `reached`
  FROM errors
)
GROUP BY `window_start`, `window_end`, `horizon`, `hour`;

-- What came of each day, be it late or not: what is missing from the day's hours was late.
CREATE TEMPORARY VIEW by_records AS
SELECT
  `window_start`,
  `window_end`,
  COUNT(*) AS `records`,
  COUNT(*) FILTER (WHERE NOT `is_valid`) AS `invalid`,
  COUNT(*) FILTER (WHERE `is_valid`) - COUNT(DISTINCT `ts`) FILTER (WHERE `is_valid`) AS `repeated`
FROM (
  SELECT
    FLOOR(CAST(`event_time` AS TIMESTAMP(3)) TO DAY) AS `window_start`,
    TIMESTAMPADD(DAY, 1, FLOOR(CAST(`event_time` AS TIMESTAMP(3)) TO DAY)) AS `window_end`,
    `ts`,
    `is_valid`
  FROM records
)
GROUP BY `window_start`, `window_end`;

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
      WHEN `reason` LIKE 'its time was answered already or is 0 steps late%' THEN 'repeated'
      WHEN `reason` LIKE 'its time was answered already%' THEN 'late'
      WHEN `reason` = 'skipped on request' THEN 'skipped'
      WHEN `reason` LIKE 'a control record%' THEN 'control'
      WHEN `reason` = 'the value is null' OR `reason` LIKE 'the value of % bytes is over%'
        OR `reason` LIKE 'JSON is malformed%' OR `reason` LIKE 'Input data was truncated%' THEN 'unreadable'
      ELSE 'invalid'
    END AS `kind`
  FROM `pm25.dead_letter`
)
GROUP BY `window_start`, `window_end`, `kind`;

EXECUTE STATEMENT SET BEGIN
  INSERT INTO `pm25.detail` SELECT
    `event_time`, `pollution`, `dew`, `temp`, `press`, `wnd_dir`, `wind_ms`, `humidity`, `hour`,
    `season`, `partition`, `offset`
  FROM detail;
  INSERT INTO `pm25.summary.day` SELECT * FROM by_day;
  INSERT INTO `pm25.summary.wind` SELECT * FROM by_wind;
  INSERT INTO `pm25.summary.horizon` SELECT * FROM by_horizon;
  INSERT INTO `pm25.summary.hour` SELECT * FROM by_hour;
  INSERT INTO `pm25.summary.records` SELECT * FROM by_records;
  INSERT INTO `pm25.summary.refused` SELECT * FROM refused;
END;
