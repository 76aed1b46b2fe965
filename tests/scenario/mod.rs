//! Scenarios: stories in `tests/scenarios/*.yaml`, told in commits, clusters and time, and played with the real
//! daemon and a real repository, on the embedded cluster and on a real control plane.

pub mod table;
mod format;
mod reading;
mod serving;
mod switched;
mod leading;
mod drained;
mod history;
mod observer;
mod wire;
mod ground;
mod news;
mod health;
mod real;
mod daemon;
mod trace;
mod accepted;
mod stage;
pub mod play;
mod stories;

/// One test for each file, so that each can be asked for by name.
macro_rules! scenarios {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[test]
            fn $name() {
                play::twice($file);
            }
        )*
        /// Their files.
        pub const FILES: &[&str] = &[$($file),*];
    };
}

table::for_every_scenario!(scenarios);

/// A partition that is lowered by hand lets more pods go than anybody has approved; nobody is there to repair it.
#[test]
#[should_panic(expected = "1 are approved")]
fn the_observer_notices_pods_that_nobody_has_approved() {
    play::text(
        "says: {}
steps:
- expect: { phase: Healthy }
- commit: { image: B }
- expect: { phase: Paused, step: 1 }
- kill: {}
- cluster: { patch: { spec: { updateStrategy: { partition: 0 } } } }
- advance: 1m
",
    );
}

/// Nobody is there to put it back.
#[test]
#[should_panic(expected = "pods read ConfigMap cfg, and it is not there")]
fn the_observer_notices_pods_whose_configuration_is_not_there() {
    play::text(
        "says: {}
steps:
- expect: { phase: Healthy }
- kill: {}
- cluster: { patch: { spec: { template: { spec: { containers: [{ name: checkout, image: 'a:C', envFrom: [{ configMapRef: { name: cfg } }] }] } } } } }
- advance: 1m
",
    );
}

/// Nobody is there to put back how long pods are drained before they are updated in place.
#[test]
#[should_panic(expected = "goes from C to B, 4ms after it has left")]
fn the_observer_notices_a_pod_that_is_updated_before_it_is_drained() {
    play::text(
        "says: {}
steps:
- commit: { image: B, set: { Release.spec.strategy: { steps: [{ replicas: 100% }], drain: 3s } } }
- expect: { phase: Healthy, images: { B: 10 } }
- commit: { image: C }
- expect: { phase: Healthy, images: { C: 10 } }
- kill: {}
- cluster:
    patch:
      spec:
        updateStrategy: { inPlaceUpdateStrategy: { gracePeriodSeconds: 0 } }
        template: { spec: { containers: [{ name: checkout, image: 'registry.example/shop/checkout:B', lifecycle: { preStop: { sleep: { seconds: 3 } } } }] } }
- advance: 1m
",
    );
}

/// On the embedded cluster the daemon is always the quicker one.
#[test]
fn a_partition_that_is_lowered_by_hand_is_put_back_before_a_slower_kruise_lets_a_pod_go() {
    play::text(
        "says: {}
steps:
- expect: { phase: Healthy }
- commit: { image: B }
- expect: { phase: Paused, step: 1, images: { A: 9, B: 1 } }
- remember: A
- cluster: { patch: { spec: { updateStrategy: { partition: 0 } } } }
- expect: { phase: Paused, images: { A: 9, B: 1 }, history: ['Repair: partition 0 → 99% (by kubectl)'] }
- stays: { for: 7m, untouched: 9, images: { A: 9, B: 1 } }
",
    );
}

#[test]
#[should_panic(expected = "pods by image is")]
fn a_scenario_that_is_not_so_fails() {
    play::text("says: {}\nsteps:\n- stays: { for: 1m, images: {} }\n");
}
