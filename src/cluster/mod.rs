//! The Kubernetes API: watches into projections, server-side apply, the lease. Decides nothing.
