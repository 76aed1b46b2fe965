//! The repository: a bare mirror, fetched, fast-forward only. Knows Git, knows nothing of releases.
