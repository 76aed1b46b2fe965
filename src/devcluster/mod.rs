//! An in-process Kubernetes API with an imitation of the CloneSet controller and of kubelets.
