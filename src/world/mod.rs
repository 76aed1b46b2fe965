//! Everything a decision may look at, `now` included. Data only.
