//! What the two grounds do not have in common, with the reason of each.

/// Scenarios that only the embedded cluster can play.
pub const EMBEDDED_ONLY: &[(&str, &str)] = &[(
    "h27-encoded-anew.yaml",
    "the API server refuses to change a ControllerRevision, and an upgraded Kruise is another program",
)];

/// Differences that are as they should be: file, what it is about, lines (`-` the embedded cluster's, `+` the real
/// one's), reason.
pub const ACCEPTED: &[(&str, &str, &[&str], &str)] = &[
    (
        "h17-people.yaml",
        "writes of checkout",
        &[
            "-apply CloneSet/checkout: B, partition 0, 10 replicas, step 3, 2 proven",
            "-apply Service/checkout",
        ],
        "where Kruise has every pod back before the lap that would repair the companions, the next release is entered first",
    ),
    ("w3-crash.yaml", "history of checkout", CRASHES, CRASHED),
    ("w4-edited.yaml", "history of checkout", CRASHES, CRASHED),
    ("w12-some-may-fail.yaml", "history of checkout", CRASHES, CRASHED),
    ("w16-testers-back.yaml", "history of checkout", CRASHES, CRASHED),
    ("w22-still-leaving.yaml", "history of checkout", CRASHES, CRASHED),
    (
        "w27-ingress-whole.yaml",
        "history of checkout",
        &["+Shift: shop/checkout leads all traffic to the pods of B: Ingress shop/checkout-canary"],
        CRASHED,
    ),
    ("b25-one-is-kept.yaml", "history of checkout", TAKEN_AWAY, ENDED),
    ("b25-one-is-kept.yaml", "writes of checkout", TAKEN_AWAY, ENDED),
    ("b25-one-is-kept.yaml", "end of checkout", &["-generation 3", "+generation 2"], ENDED),
    (
        "w17-testers-dark.yaml",
        "history of checkout",
        &[
            "+Shift: shop/checkout prepares its weights: Service shop/checkout-canary",
            "-Shift: shop/checkout prepares its weights: Service shop/checkout-canary",
        ],
        "whether pods are up before or after the Service of their revision is made is the kubelets' time",
    ),
];

/// What is told as pods crash and come back one by one.
const CRASHES: &[&str] = &[
    "+Note: shop/checkout lost step 2 of 3: fewer updated pods are available than it was reached with",
    "-Note: shop/checkout lost step 2 of 3: fewer updated pods are available than it was reached with",
    "+Shift: shop/checkout leads 50% of the traffic to B, at step 2 of 3: HTTPRoute shop/checkout",
    "-Shift: shop/checkout leads 50% of the traffic to B, at step 2 of 3: HTTPRoute shop/checkout",
    "+Shift: shop/checkout leads 5% of the traffic to B, at step 2 of 3: HTTPRoute shop/checkout",
    "-Shift: shop/checkout leads 5% of the traffic to B, at step 2 of 3: HTTPRoute shop/checkout",
    "+Shift: shop/checkout leads all traffic to the pods of A: HTTPRoute shop/checkout",
    "-Shift: shop/checkout leads all traffic to the pods of A: HTTPRoute shop/checkout",
    "+Shift: shop/checkout prepares its weights: Service shop/checkout-canary",
    "-Shift: shop/checkout prepares its weights: Service shop/checkout-canary",
];
const CRASHED: &str =
    "how many pods have crashed or come back when EndpointSlices and status tell of it is the kubelets' time";

/// What is written and told of pods that nobody needs any more, around the end of a daemon.
const TAKEN_AWAY: &[&str] = &[
    "-Repair: shop/checkout takes away what nobody needs any more: CloneSet shop/checkout",
    "+Repair: shop/checkout takes away what nobody needs any more: CloneSet shop/checkout",
    "-Repair: shop/checkout takes away the pods of A, which nobody needs any more: CloneSet shop/checkout",
    "+Repair: shop/checkout takes away the pods of A, which nobody needs any more: CloneSet shop/checkout",
    "-apply CloneSet/checkout: A, partition 0, 0 replicas, step 2, 1 proven",
];
const ENDED: &str =
    "whether the daemon has written that the switch is complete, or that pods go, when it ends is real time";

/// Why the record may lack an entry for each time that a scenario ends a daemon or lets it stand still.
pub const UNTOLD: &str =
    "a daemon that ends between a write and its record tells nobody of it, and where it ends is real time";
