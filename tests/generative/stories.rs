//! Stories: commits, approvals and what becomes of the daemon, in any order and at any moment. The observer of the scenarios looks
//! at every event, the guard has nothing to refuse, and at the end, once everything is approved, Git has its way.
//!
//! A story that ends badly is made as short as it can be, and told as a scenario.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{TestError, TestRunner};

use crate::generative::config;
use crate::scenario::play;

/// So many of each way to exchange pods.
const STORIES: u32 = 2;

/// Before another commit the daemon has read the one before it and has begun what follows from that: what the observer counts as
/// approved is what the newest commit permits.
const EVENTS: [&str; 12] = [
    "seen: {}\n- advance: 500ms\n- commit: { image: A }",
    "seen: {}\n- advance: 500ms\n- commit: { image: B }",
    "seen: {}\n- advance: 500ms\n- commit: { image: C }",
    "approve: { step: 1 }",
    "approve: { step: 2 }",
    "approve: { step: 3 }",
    "approve: { serve: 1 }",
    "approve: { serve: 2 }",
    "restart: {}",
    "kill: {}\n- start: {}",
    "kill: {}\n- advance: 1s\n- start: {}",
    "cluster: { lag: 300ms }\n- advance: 1s\n- cluster: { lag: 0s }",
];

/// Between two events: nothing, what a lap takes, what pods take, and what waits for all of them.
const PAUSES: [&str; 12] =
    ["0s", "1ms", "5ms", "20ms", "50ms", "100ms", "200ms", "500ms", "1s", "3s", "20s", "3m"];

/// Another version, approved in all.
const END: &str = "
- advance: 1m
- commit: { image: D }
- approve: { step: 1 }
- approve: { serve: 1 }
- approve: { step: 2 }
- approve: { serve: 2 }
- approve: { step: 3 }
- approve: { serve: 3 }
- expect: { phase: Healthy, version: D, images: { D: 10 }, serves: { D: 10 }, gates: [], within: 20m }
";

/// Plays stories of a release with this strategy, one of a CloneSet with these fields, and these other objects.
fn play(strategy: &str, cloneset: &str, policy: &str, files: &str) {
    let begin = format!(
        "says: {{}}
policy: {{ {policy} }}
steps:
- expect: {{ phase: Healthy, images: {{ A: 10 }} }}
- commit:
    set:
      Release.spec.strategy: {strategy}
      CloneSet.spec.updateStrategy: {cloneset}
    files: {{ {files} }}
- expect: {{ phase: Healthy, gates: [], images: {{ A: 10 }}, within: 5m }}
"
    );
    let told = |events: &[(&str, &str)]| {
        let lines = events.iter().map(|(pause, event)| format!("- advance: {pause}\n- {event}\n"));
        begin.clone() + &lines.collect::<String>() + END.trim_start()
    };
    let mut config = config(STORIES);
    config.max_shrink_iters = 200;
    let events = vec((select(&PAUSES[..]), select(&EVENTS[..])), 2..10);
    let end = TestRunner::new(config).run(&events, |events| {
        let text = told(&events);
        let ends = std::panic::catch_unwind(|| play::text(&text));
        ends.map_err(|panic| TestCaseError::fail(play::said(&*panic)))
    });
    if let Err(TestError::Fail(why, events)) = &end {
        panic!("{}\n{why}", told(events));
    }
    assert!(end.is_ok(), "{end:?}");
}

const PREVIEW: &str = r#"releases/shop/preview.yaml: "apiVersion: v1\nkind: Service\nmetadata: { namespace: shop, name: checkout-preview }\nspec: { selector: { app: checkout }, ports: [{ port: 80, targetPort: 8080 }] }\n""#;

const ROUTE: &str = r#"releases/shop/route.yaml: "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { namespace: shop, name: checkout }\nspec: { rules: [{ backendRefs: [{ name: checkout, port: 80 }] }] }\n""#;

const INGRESS: &str = r#"releases/shop/ingress.yaml: "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: { namespace: shop, name: checkout }\nspec: { ingressClassName: nginx, rules: [{ host: shop.example, http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: checkout, port: { number: 80 } } } }] } }] }\n""#;

const IN_PLACE: &str = "{ type: InPlaceIfPossible, maxUnavailable: 40% }";
const ANEW: &str = "{ type: ReCreate, maxUnavailable: 20% }";
const SURGE: &str = "{ type: ReCreate, maxUnavailable: 0, maxSurge: 5 }";

#[test]
fn whatever_happens_steps_end_where_git_does() {
    play(
        "{ steps: [{ replicas: 1 }, { replicas: 50%, approval: {} }, { replicas: 100% }], deadline: 5m }",
        ANEW,
        "",
        "",
    );
}

#[test]
fn whatever_happens_pods_in_the_dark_end_where_git_does() {
    play(
        "{ steps: [{ replicas: 3, serve: approval, batch: 2 }, { replicas: 80%, approval: {}, serve: approval }, { replicas: 100% }], deadline: 5m }",
        SURGE,
        "",
        "",
    );
}

#[test]
fn whatever_happens_pods_that_are_updated_in_place_end_where_git_does() {
    play(
        "{ steps: [{ replicas: 3, serve: approval }, { replicas: 100%, approval: {} }], deadline: 5m, drain: 3s }",
        IN_PLACE,
        "",
        "",
    );
}

#[test]
fn whatever_happens_weights_end_where_git_does() {
    let strategy = "{ routes: [checkout], steps: [{ replicas: 1, weight: 5% }, { replicas: 50%, weight: 50%, approval: {} }, { replicas: 100%, approval: {} }], deadline: 5m }";
    play(strategy, ANEW, "", ROUTE);
    play(strategy, IN_PLACE, "", INGRESS);
}

#[test]
fn whatever_happens_blue_green_ends_where_git_does() {
    let strategy = "{ blueGreen: { active: checkout, preview: checkout-preview, approval: {}, keep: 2s }, deadline: 5m }";
    play(strategy, ANEW, "", PREVIEW);
    play(strategy, IN_PLACE, "depth: 1", PREVIEW);
}
