//! The Kubernetes kinds we read or write, as data. All our labels and annotations are spelled here, once.
