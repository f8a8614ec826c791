"""Beijing's air at twelve stations: pollutants and weather each hour, 2013 to 2017 (UCI data set 501).

Song Xi Chen, "Beijing Multi-Site Air Quality", CC BY 4.0. Nothing is downloaded: unpack the twelve files,
one a station, into a folder, and name it by `STREAMLEARN_STATIONS_CSV` or `streamlearn replay stations
--file`. The rows of all files are put in order of time.

| column | unit |
|---|---|
| year, month, day, hour | local time |
| PM2.5, PM10, SO2, NO2, CO, O3 | µg/m³ |
| TEMP, DEWP | temperature and dew point, °C |
| PRES | pressure, hPa |
| RAIN | mm |
| wd | where the wind comes from, one of 16 directions |
| WSPM | wind speed, m/s |
| station | its name |

NA stands for a missing value. The column `No` numbers a file's rows and is left out.
"""

from pathlib import Path

from streamlearn.datasets.table import Table
from streamlearn.errors import DataUnavailable
from streamlearn.settings import Settings


class StationFiles(Table):
    """The rows of the files that the setting names, where `path` is empty."""

    def locate(self) -> Path:
        """Return the folder, or the file. Raises `DataUnavailable` where none is named."""
        if self.path:
            return super().locate()
        named = Settings.load().stations_csv
        if not named:
            raise DataUnavailable(
                "the stations' data is not downloaded by itself: set STREAMLEARN_STATIONS_CSV to the folder"
                " of UCI's twelve files PRSA_Data_….csv (Beijing Multi-Site Air Quality), or to one of them"
            )
        return Path(named)
