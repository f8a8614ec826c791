"""The tutorial's LSTM, a fair one, persistence, and ours, over the same hours of Beijing's PM2.5.

    hours ─▶ rules ─▶ article, fair ─▶ lstm ──▶ comparison ─▶ commands
    the      what a   examples for     nets     errors,       tables, JSON,
    data     missing  a net            online   bootstrap     figures
             hour is                   ours

An hour is named by its number in the data set; a forecast belongs to the hour that it is of, and is made in
the hour before. The first year is learned, the other four are forecast. What comes out is in `docs/pm25.md`.
"""
