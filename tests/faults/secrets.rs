//! What may be secret stays where it was written: it is in no record, no Event, no line of a log.

use crate::daemon::stage::Stage;
use crate::faults::STEPS;

/// Values as people put them into environments, where only text may stand.
const SECRETS: [&str; 5] =
    ["0042424242424242", "[hunter2]", "{hunter2: x}", "42_424_242", "!!binary aHVudGVyMg=="];

#[tokio::test(start_paused = true)]
async fn no_record_and_no_event_quotes_an_environment() {
    let mut stage = Stage::set();
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    let sound = std::fs::read_to_string(stage.repo.file("releases/shop/checkout.yaml")).unwrap();
    for secret in SECRETS {
        let text = format!("{sound}        env: [{{ name: PASSWORD, value: {secret} }}]\n");
        stage.repo.put("releases/shop/checkout.yaml", &text);
        stage.until("it is told", |it| it.waits_for() == "spec").await;
        stage.wait(10).await;
        let bare = secret.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let word = bare.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap();
        let events = stage.cluster.store().list("events.events.k8s.io", Some("shop"));
        let events: String = events.iter().map(|it| serde_json::Value::clone(it).to_string()).collect();
        for told in [stage.record("checkout").to_string(), stage.cloneset("checkout").to_string(), events] {
            assert!(
                !told.contains("hunter2") && !told.contains("42424242") && !told.contains("aHVu"),
                "{word}: {told}"
            );
        }
        let hold = stage.record("checkout")["status"]["holds"][0]["message"].to_string();
        assert!(hold.contains("releases/shop/checkout.yaml:"), "{hold}");
        stage.repo.put("releases/shop/checkout.yaml", &sound);
        stage.until("it is mended", |it| it.phase() == "Healthy").await;
    }
}
