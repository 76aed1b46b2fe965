//! What Git says about releases: commits → releases, episodes, markers.
