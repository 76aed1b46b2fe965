//! The screens as people see them.

use jiff::Timestamp;

use triton::cli::output::Paint;
use triton::cli::render::{Event, GitView, Row, detail, history, list, span, troubles, why};
use triton::model::{Gate, Hold, Lift, LiftKind};
use triton::objects::record::{
    ApprovalView, CloneSetView, Ignored, Phase, Pods, Role, StepState, StepView, Transition, Versions, View,
};

const DIGEST: &str = "3f9a01c2d4e5b6a798871605f4e3d2c1";
const PROVEN: &str = "77aa01c2d4e5b6a798871605f4e3d2c1";
const COMMIT: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334";

fn at(text: &str) -> Timestamp {
    format!("2026-03-01T{text}Z").parse().unwrap()
}

fn now() -> Timestamp {
    at("14:40:04")
}

fn step(target: &str, pods: u32, state: StepState) -> StepView {
    StepView {
        target: target.into(),
        pods,
        weight: None,
        testers: false,
        service: None,
        state,
        needs: 0,
        soak: 0,
        entered_at: None,
        approvals: vec![],
        serve: None,
    }
}

fn hold(gate: Gate, since: &str, message: &str, lift: Lift) -> Hold {
    Hold { gate, since: Some(at(since)), message: message.into(), lift }
}

fn row(name: &str, view: View) -> Row {
    Row {
        namespace: "shop".into(),
        name: name.into(),
        view,
        git: GitView {
            head: Some("9f00aa1b2c3d4e5f60718293a4b5c6d7e8f90011".into()),
            told_head: Some("9f00aa1b2c3d4e5f60718293a4b5c6d7e8f90011".into()),
            polled_at: Some(at("14:40:00")),
            interval: Some(15),
            repository: Some("https://git.example/shop/deploy".into()),
            daemon: Some("triton-0-3f9a".into()),
            renewed_at: Some(at("14:40:03")),
        },
    }
}

fn versions(from: &str, to: &str) -> Versions {
    Versions { from: Some(from.into()), to: Some(to.into()) }
}

fn healthy() -> View {
    View {
        phase: Phase::Healthy,
        version: versions("2.4.0", "2.4.0"),
        commit: Some(COMMIT.into()),
        digest: Some(PROVEN.into()),
        proven_digest: Some(PROVEN.into()),
        step: 3,
        steps: vec![
            step("1", 1, StepState::Done),
            step("50%", 5, StepState::Done),
            step("100%", 10, StepState::Done),
        ],
        pods: Pods { desired: 10, updated: 10, updated_available: 10 },
        ..View::default()
    }
}

fn at_the_gate() -> View {
    let approve = Lift::by(LiftKind::Approve)
        .path(format!("approvals/shop/checkout/{DIGEST}/2.k7qd.yaml"))
        .command("triton approve shop/checkout");
    View {
        phase: Phase::Paused,
        version: versions("2.4.0", "2.4.1"),
        digest: Some(DIGEST.into()),
        step: 1,
        steps: vec![
            StepView { soak: 600, entered_at: Some(at("13:50:00")), ..step("1", 1, StepState::Here) },
            StepView { soak: 1800, needs: 1, ..step("50%", 5, StepState::Waiting) },
            StepView {
                needs: 2,
                approvals: vec![ApprovalView {
                    who: "Bo".into(),
                    commit: "c4d5e6f700112233445566778899aabbccddeeff".into(),
                }],
                ..step("100%", 10, StepState::Ahead)
            },
        ],
        pods: Pods { desired: 10, updated: 1, updated_available: 1 },
        holds: vec![hold(
            Gate::Approval,
            "14:02:00",
            "shop/checkout needs 1 approval for step 2 (50 % = 5 pods)",
            approve,
        )],
        ignored: vec![Ignored {
            path: format!("approvals/shop/checkout/{DIGEST}/2.x.yaml"),
            reason: "ci-bot is a bot, not a person (daemon's configuration)".into(),
        }],
        ..healthy()
    }
}

fn progressing() -> View {
    View {
        phase: Phase::Progressing,
        pods: Pods { desired: 10, updated: 5, updated_available: 3 },
        step: 2,
        steps: vec![
            StepView { entered_at: Some(at("13:50:00")), ..step("1", 1, StepState::Done) },
            StepView {
                entered_at: Some(at("14:39:30")),
                needs: 1,
                approvals: vec![ApprovalView { who: "Bo".into(), commit: "c4d5e6f7001122334455".into() }],
                serve: Some(vec![]),
                ..step("50%", 5, StepState::Here)
            },
            step("100%", 10, StepState::Ahead),
        ],
        holds: vec![hold(
            Gate::Pods,
            "14:39:30",
            "shop/checkout: 3 of 5 updated pods are available",
            Lift::wait(),
        )],
        ignored: vec![],
        ..at_the_gate()
    }
}

fn failed() -> View {
    View {
        phase: Phase::Degraded,
        version: versions("2.4.0", "2.4.2-bad"),
        steps: vec![
            StepView { entered_at: Some(at("14:30:00")), ..step("1", 1, StepState::Failed) },
            step("50%", 5, StepState::Ahead),
            step("100%", 10, StepState::Ahead),
        ],
        pods: Pods { desired: 10, updated: 0, updated_available: 0 },
        holds: vec![hold(
            Gate::Failed,
            "14:30:20",
            "shop/checkout 2.4.2-bad failed at step 1: it was not healthy within 20s",
            Lift::by(LiftKind::Commit).path("releases/shop/checkout.yaml").command("git revert a1b2c3d"),
        )],
        ignored: vec![],
        ..at_the_gate()
    }
}

fn rolling_back() -> View {
    View {
        phase: Phase::RollingBack,
        pods: Pods { desired: 10, updated: 6, updated_available: 6 },
        holds: vec![hold(
            Gate::RollingBack,
            "14:39:59",
            "shop/checkout goes back to 2.4.0: 6 of 10 pods are there",
            Lift::wait(),
        )],
        ..healthy()
    }
}

fn cloneset(name: &str, version: &str, role: Role) -> CloneSetView {
    CloneSetView { name: name.into(), version: Some(version.into()), pods: 3, role, until: None }
}

/// Pods beside those that serve, one of them not available.
fn beside() -> View {
    let at = |service: &str, state| StepView { service: Some(service.into()), ..step("100%", 3, state) };
    View {
        phase: Phase::Progressing,
        version: versions("3.2.0", "3.3.0"),
        digest: Some(DIGEST.into()),
        step: 1,
        steps: vec![at("account-preview", StepState::Here), at("account", StepState::Ahead)],
        pods: Pods { desired: 3, updated: 3, updated_available: 2 },
        clonesets: vec![
            cloneset("account", "3.2.0", Role::Serves),
            cloneset("account-47219876de", "3.3.0", Role::Next),
        ],
        ..healthy()
    }
}

/// The same, switched: the old pods are kept.
fn switched() -> View {
    let kept = cloneset("account", "3.2.0", Role::Kept);
    View {
        phase: Phase::Healthy,
        version: versions("3.3.0", "3.3.0"),
        proven_digest: Some(DIGEST.into()),
        step: 2,
        pods: Pods { desired: 3, updated: 3, updated_available: 3 },
        clonesets: vec![
            cloneset("account-47219876de", "3.3.0", Role::Serves),
            CloneSetView { until: Some(at("15:20:00")), ..kept },
        ],
        ..beside()
    }
}

#[test]
fn pods_beside_those_that_serve_are_not_taken_for_them() {
    insta::assert_snapshot!(detail(&row("account", beside()), now(), Paint::NONE), @r"
    shop/account  3.2.0 → 3.3.0   ◌ progressing · step 1 of 2 · 3 pods (2 available) beside the 3 that serve
      back     triton rollback shop/account, or git revert to 3.2.0   (3 pods)
      serves   3.2.0: 3 pods of CloneSet account
      next     3.3.0: 3 pods of CloneSet account-47219876de

      STEP  TARGET                   PODS  STATE    ENTERED  SOAK  APPROVED BY
      1     100% at account-preview  3     ◌ here   –        –     –
      2     100% at account          3       ahead  –        –     –

      git      commit a1b2c3d · digest 3f9a01c2d4e5 · head 9f00aa1, polled 4s ago
    ");
    let listed = list(&[row("account", beside())], now(), Paint::NONE);
    assert!(listed.contains("  1/2   +3/3  ◌ progressing"), "{listed}");
}

#[test]
fn a_switched_release_says_until_when_the_old_pods_stay() {
    let kept = "  serves   3.3.0: 3 pods of CloneSet account-47219876de\n  \
                keeps    3.2.0: 3 pods of CloneSet account, until 2026-03-01T15:20:00Z (for 39m): until then a revert is one write";
    let row = row("account", switched());
    for screen in [detail(&row, now(), Paint::NONE), why(&row, now(), Paint::NONE)] {
        assert!(screen.contains(kept), "{screen}");
    }
    let json = serde_json::to_value(switched()).unwrap();
    assert_eq!(json["clonesets"][1]["role"], "kept");
    assert_eq!(json["clonesets"][1]["until"], "2026-03-01T15:20:00Z");
}

#[test]
fn a_release_at_a_gate_says_who_can_open_it_and_how() {
    insta::assert_snapshot!(detail(&row("checkout", at_the_gate()), now(), Paint::NONE), @r"
    shop/checkout  2.4.0 → 2.4.1   ॥ paused · step 1 of 3 · 1 of 10 pods · waits 38m
      needs    shop/checkout needs 1 approval for step 2 (50 % = 5 pods)
      approve  triton approve shop/checkout             adds approvals/shop/checkout/3f9a…/2.k7qd.yaml
      back     triton rollback shop/checkout, or git revert to 2.4.0   (1 pod)
      ignored  approvals/shop/checkout/3f9a…/2.x.yaml: ci-bot is a bot, not a person (daemon's configuration)

      STEP  TARGET  PODS  STATE      ENTERED  SOAK  APPROVED BY
      1     1       1     ◌ here     50m ago  10m   –
      2     50%     5     ॥ waiting  –        30m   nobody, needs 1
      3     100%    10      ahead    –        –     Bo (c4d5e6f), needs 1 more

      git      commit a1b2c3d · digest 3f9a01c2d4e5 · head 9f00aa1, polled 4s ago
    ");
}

#[test]
fn a_release_on_its_way_says_how_many_pods_it_waits_for() {
    insta::assert_snapshot!(detail(&row("checkout", progressing()), now(), Paint::NONE), @r"
    shop/checkout  2.4.0 → 2.4.1   ◌ progressing · step 2 of 3 · 5 of 10 pods · 3 available · waits 34s
      waits    shop/checkout: 3 of 5 updated pods are available
      back     triton rollback shop/checkout, or git revert to 2.4.0   (5 pods)

      STEP  TARGET  PODS  STATE    ENTERED  SOAK  APPROVED BY
      1     1       1     ✔ done   50m ago  –     –
      2     50%     5     ◌ here   34s ago  –     Bo (c4d5e6f); to serve: nobody
      3     100%    10      ahead  –        –     –

      git      commit a1b2c3d · digest 3f9a01c2d4e5 · head 9f00aa1, polled 4s ago
    ");
}

#[test]
fn a_failed_release_shows_its_failed_step() {
    insta::assert_snapshot!(detail(&row("checkout", failed()), now(), Paint::NONE), @r"
    shop/checkout  2.4.0 → 2.4.2-bad   ✖ degraded · failed at step 1 of 3 · 0 of 10 pods · waits 9m44s
      needs    shop/checkout 2.4.2-bad failed at step 1: it was not healthy within 20s
      commit   git revert a1b2c3d                       in releases/shop/checkout.yaml

      STEP  TARGET  PODS  STATE     ENTERED  SOAK  APPROVED BY
      1     1       1     ✖ failed  10m ago  –     –
      2     50%     5       ahead   –        –     –
      3     100%    10      ahead   –        –     –

      git      commit a1b2c3d · digest 3f9a01c2d4e5 · head 9f00aa1, polled 4s ago
    ");
}

#[test]
fn a_release_that_goes_back_does_not_offer_to_go_back() {
    insta::assert_snapshot!(detail(&row("checkout", rolling_back()), now(), Paint::NONE), @r"
    shop/checkout  2.4.0   ◌ rolling back · step 3 of 3 · 6 of 10 pods · waits 5s
      waits    shop/checkout goes back to 2.4.0: 6 of 10 pods are there

      STEP  TARGET  PODS  STATE   ENTERED  SOAK  APPROVED BY
      1     1       1     ✔ done  –        –     –
      2     50%     5     ✔ done  –        –     –
      3     100%    10    ✔ done  –        –     –

      git      commit a1b2c3d · digest 77aa01c2d4e5 · head 9f00aa1, polled 4s ago
    ");
}

#[test]
fn the_list_has_one_line_for_each_release() {
    let rows = [
        row("cart", healthy()),
        row("checkout", at_the_gate()),
        row("frontend", failed()),
        row("mailer", rolling_back()),
        row("search", progressing()),
        row("unknown", View::default()),
    ];
    insta::assert_snapshot!(list(&rows, now(), Paint::NONE), @r"
    RELEASE        VERSION            STEP  PODS   STATE           WAITS FOR
    shop/cart      2.4.0              3/3   10/10  ✔ healthy
    shop/checkout  2.4.0 → 2.4.1      1/3   1/10   ॥ paused        approval for 38m: triton approve shop/checkout
    shop/frontend  2.4.0 → 2.4.2-bad  1/3   0/10   ✖ degraded      failed for 9m44s: git revert a1b2c3d
    shop/mailer    2.4.0              3/3   6/10   ◌ rolling back  rolling-back for 5s
    shop/search    2.4.0 → 2.4.1      2/3   5/10   ◌ progressing   pods for 34s
    shop/unknown   –                  –     0/0    ? not followed
    ");
}

#[test]
fn why_has_whole_paths_for_people_without_the_program() {
    insta::assert_snapshot!(why(&row("checkout", at_the_gate()), now(), Paint::NONE), @r"
    shop/checkout  2.4.0 → 2.4.1   ॥ paused · step 1 of 3 · 1 of 10 pods · waits 38m

      gate     approval
      needs    shop/checkout needs 1 approval for step 2 (50 % = 5 pods)
      since    2026-03-01T14:02:00Z (38m)
      lifted   by an approval: a commit that adds a marker
      command  triton approve shop/checkout
      file     approvals/shop/checkout/3f9a01c2d4e5b6a798871605f4e3d2c1/2.k7qd.yaml

      ignored  approvals/shop/checkout/3f9a01c2d4e5b6a798871605f4e3d2c1/2.x.yaml
               ci-bot is a bot, not a person (daemon's configuration)
    ");
    insta::assert_snapshot!(why(&row("checkout", healthy()), now(), Paint::NONE), @r"
    shop/checkout  2.4.0   ✔ healthy · 10 of 10 pods
      holds    none: nothing is waited for
    ");
}

#[test]
fn colours_change_no_letter() {
    let rows = [row("checkout", at_the_gate()), row("cart", failed())];
    let painted = list(&rows, now(), Paint::FULL) + &detail(&rows[0], now(), Paint::FULL);
    let plain = list(&rows, now(), Paint::NONE) + &detail(&rows[0], now(), Paint::NONE);
    assert!(painted.contains("\x1b[33m") && !plain.contains('\x1b'));
    let bare = painted.split("\x1b[").enumerate().map(|(index, part)| {
        if index == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) }
    });
    assert_eq!(bare.collect::<String>(), plain);
}

#[test]
fn json_is_the_schema_that_the_documents_promise() {
    let one_step = View { steps: vec![at_the_gate().steps.remove(2)], ..at_the_gate() };
    insta::assert_json_snapshot!(row("checkout", one_step), @r#"
    {
      "namespace": "shop",
      "name": "checkout",
      "phase": "Paused",
      "version": {
        "from": "2.4.0",
        "to": "2.4.1"
      },
      "commit": "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334",
      "digest": "3f9a01c2d4e5b6a798871605f4e3d2c1",
      "provenDigest": "77aa01c2d4e5b6a798871605f4e3d2c1",
      "step": 1,
      "steps": [
        {
          "target": "100%",
          "pods": 10,
          "state": "ahead",
          "needs": 2,
          "approvals": [
            {
              "who": "Bo",
              "commit": "c4d5e6f700112233445566778899aabbccddeeff"
            }
          ]
        }
      ],
      "pods": {
        "desired": 10,
        "updated": 1,
        "updatedAvailable": 1
      },
      "holds": [
        {
          "gate": "approval",
          "since": "2026-03-01T14:02:00Z",
          "message": "shop/checkout needs 1 approval for step 2 (50 % = 5 pods)",
          "lift": {
            "kind": "approve",
            "path": "approvals/shop/checkout/3f9a01c2d4e5b6a798871605f4e3d2c1/2.k7qd.yaml",
            "command": "triton approve shop/checkout"
          }
        }
      ],
      "ignored": [
        {
          "path": "approvals/shop/checkout/3f9a01c2d4e5b6a798871605f4e3d2c1/2.x.yaml",
          "reason": "ci-bot is a bot, not a person (daemon's configuration)"
        }
      ],
      "git": {
        "head": "9f00aa1b2c3d4e5f60718293a4b5c6d7e8f90011",
        "toldHead": "9f00aa1b2c3d4e5f60718293a4b5c6d7e8f90011",
        "polledAt": "2026-03-01T14:40:00Z",
        "interval": 15,
        "repository": "https://git.example/shop/deploy",
        "daemon": "triton-0-3f9a",
        "renewedAt": "2026-03-01T14:40:03Z"
      }
    }
    "#);
}

#[test]
fn history_is_told_in_order() {
    let transition = |time: &str, decision: &str, step, message: &str| Transition {
        time: at(time),
        decision: decision.into(),
        message: message.into(),
        digest: Some(DIGEST.into()),
        step,
        head: Some(COMMIT.into()),
    };
    let story = [
        transition("13:50:00", "Enter", 1, "shop/checkout 2.4.1 enters step 1 (1 of 10 pods)"),
        transition("14:39:30", "Enter", 2, "shop/checkout 2.4.1 enters step 2 (5 of 10 pods)"),
    ];
    let mut approval = Event::of(at("14:39:20"), "Approve", "Approve step 2 (50%) of shop/checkout 2.4.1");
    approval.transition.head = Some("c4d5e6f700112233445566778899aabbccddeeff".into());
    approval.author = Some("Bo".into());
    let mut events: Vec<Event> = story.into_iter().map(Event::from).collect();
    events.insert(1, approval);
    insta::assert_snapshot!(history(&events, Paint::NONE), @r"
    TIME                  WHO     DID      STEP  COMMIT   WHAT
    2026-03-01T13:50:00Z  triton  Enter    1     a1b2c3d  shop/checkout 2.4.1 enters step 1 (1 of 10 pods)
    2026-03-01T14:39:20Z  Bo      Approve  –     c4d5e6f  Approve step 2 (50%) of shop/checkout 2.4.1
    2026-03-01T14:39:30Z  triton  Enter    2     a1b2c3d  shop/checkout 2.4.1 enters step 2 (5 of 10 pods)
    ");
}

#[test]
fn a_span_has_the_two_units_that_matter() {
    let spans = [-3, 4, 59, 60, 90, 2280, 7500, 7200, 273_600, 172_800].map(span);
    assert_eq!(spans, ["0s", "4s", "59s", "1m", "1m30s", "38m", "2h05m", "2h", "3d04h", "2d"]);
}

#[test]
fn a_screen_that_may_be_out_of_date_says_so() {
    let trouble = |change: &dyn Fn(&mut GitView)| {
        let mut row = row("checkout", healthy());
        change(&mut row.git);
        troubles(&[row.clone(), row], now(), Paint::NONE).join("\n")
    };
    assert_eq!(trouble(&|_| {}), "");
    assert_eq!(trouble(&|git| *git = GitView::default()), "", "nothing is known, and nothing said");
    assert_eq!(
        trouble(&|git| git.renewed_at = Some(at("14:02:00"))),
        "not up to date: the daemon triton-0-3f9a was last heard of 38m ago, and nothing moves"
    );
    assert_eq!(
        trouble(&|git| (git.daemon, git.renewed_at) = (None, Some(at("14:39:58")))),
        "not up to date: no daemon runs: the last one ended 6s ago, and nothing moves"
    );
    let polled =
        |at: Timestamp, interval| trouble(&|git| (git.polled_at, git.interval) = (Some(at), Some(interval)));
    assert_eq!(
        polled(at("14:39:00"), 15),
        "not up to date: Git has not answered the daemon for 1m04s: nothing new is started"
    );
    assert_eq!(polled(at("14:39:00"), 60), "");
    assert_eq!(polled(at("14:39:40"), 1), "", "a branch may be slow to read");
}
