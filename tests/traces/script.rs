//! The `do` lines that are about single pods, the manager, or a whole CloneSet.

use serde_json::{Value, json};
use triton::devcluster::deletes::Propagation;
use triton::devcluster::pods::{Pod, State};
use triton::devcluster::sim::Refused;

use crate::traces::flow;
use crate::traces::picture;
use crate::traces::replay::{NAMESPACE, Replay};

/// The label of the recorded hooks.
const HOLD: &str = "triton.io/hold";

impl Replay {
    /// Does what a line says that is neither a create, a write nor a scale.
    pub fn act_on_pods(&mut self, what: &str, trace: &[Value], index: usize) {
        if let Some(image) = what.strip_prefix("delete a pod of ") {
            let pod = self.pod(|pod| tag(pod) == image && pod.is_active());
            self.sim.delete_pod(NAMESPACE, &pod);
        } else if let Some(gate) = what.strip_prefix("gate ") {
            let holds = gate == "True";
            // On: the next dark pod. Off: the pods of B, one after the other.
            let pod = self.pod(|pod| pod.is_true("triton.io/serving") != holds && (holds || tag(pod) == "B"));
            let now = self.sim.now();
            self.sim.change_pod(NAMESPACE, &pod, |pod| pod.set_condition("triton.io/serving", holds, now));
        } else if let Some(label) = what.strip_prefix("pod label ") {
            self.label_pod(label, trace, index);
        } else if let Some(image) =
            what.strip_prefix("a pod of ").and_then(|rest| rest.strip_suffix(" becomes Failed"))
        {
            let pod = self.pod(|pod| tag(pod) == image && pod.is_active());
            self.sim.change_pod(NAMESPACE, &pod, |pod| pod.body["status"]["phase"] = json!("Failed"));
        } else {
            self.act_on_the_rest(what);
        }
    }

    fn act_on_the_rest(&mut self, what: &str) {
        let nth = |replay: &Replay, index: usize| replay.all_pods()[index].name().to_owned();
        if let Some(how) = what.strip_prefix("kruise-manager killed") {
            if how.contains("Ignore") {
                self.sim.let_webhooks_fail();
            }
            return self.sim.kill_manager();
        }
        let cost = |replay: &mut Replay, pod: &str, cost: &str| {
            let key = "controller.kubernetes.io/pod-deletion-cost";
            replay.sim.change_pod(NAMESPACE, pod, |pod| pod.set_annotation(key, cost));
        };
        match what {
            "delete a hooked pod directly" => {
                let pod = self.pod(|pod| pod.label(HOLD).is_some());
                self.sim.delete_pod(NAMESPACE, &pod);
            }
            "cost -5 on the first" => cost(self, &nth(self, 0), "-5"),
            "cost 5 on the second" => cost(self, &nth(self, 1), "5"),
            "third not ready" => {
                let pod = nth(self, 2);
                self.sim.turn(|knobs| {
                    knobs.unready.insert(pod);
                });
            }
            "delete background" => self.sim.delete(NAMESPACE, "web", Propagation::Background),
            "delete foreground" => self.sim.delete(NAMESPACE, "web", Propagation::Foreground),
            "delete orphan" => self.sim.delete(NAMESPACE, "web", Propagation::Orphan),
            "kruise-manager started again" => self.sim.start_manager(),
            "label" => {
                let label = |body: &mut Value| body["metadata"]["labels"]["x"] = json!("y");
                self.write_body(label).expect("a label is accepted");
            }
            other => self.change_template(other).expect("a recorded write is accepted"),
        }
    }

    /// The edits of the scenario `what-in-place`.
    fn change_template(&mut self, what: &str) -> Result<(), Refused> {
        let fields = match what {
            "image" => "img:B",
            "image+annotation" => "img:C,tann:{k:v}",
            "env" => "env:[{name:X,value:1}]",
            "template label" => "tmpl:{labels:{z:1}}",
            "imagePullPolicy" => {
                return self.write_body(|body| container(body)["imagePullPolicy"] = json!("IfNotPresent"));
            }
            "resources" => {
                return self
                    .write_body(|body| container(body)["resources"] = json!({"requests": {"cpu": "10m"}}));
            }
            "init image" => {
                let init = |body: &mut Value| {
                    body["spec"]["template"]["spec"]["initContainers"][0]["image"] = json!("r/init:2");
                };
                return self.write_body(init);
            }
            "terminationGracePeriodSeconds" => "pod:{terminationGracePeriodSeconds:7}",
            "new container" => {
                return self.write_body(|body| {
                    let containers = &mut body["spec"]["template"]["spec"]["containers"];
                    let more = json!({"name": "d", "image": "r/side:1"});
                    containers.as_array_mut().expect("containers").push(more);
                });
            }
            "status-less metadata write" => "ann:{x:y}",
            "PUT with volumeClaimTemplates" => {
                let claims = |body: &mut Value| {
                    body["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "v"}}]);
                };
                return self.sim.write(NAMESPACE, "web", claims);
            }
            other => panic!("a line that is not known: {other}"),
        };
        self.write(fields)
    }

    fn write_body(&mut self, change: impl FnOnce(&mut Value)) -> Result<(), Refused> {
        self.before = self.all_pods().iter().map(|pod| pod.name().to_owned()).collect();
        self.sim.write(NAMESPACE, &self.set.clone(), change)
    }

    /// The name of the oldest pod of which `holds` is true: the recorded scripts listed pods before they began.
    fn pod(&self, holds: impl Fn(&Pod) -> bool) -> String {
        let mut pods = self.all_pods();
        pods.sort_by_key(|pod| pod.body["metadata"]["creationTimestamp"].to_string());
        pods.iter().find(|pod| holds(pod)).expect("there is such a pod").name().to_owned()
    }

    /// Labels the pod that the recorded script meant: for the hook the one that waits, for a delete one of the revision
    /// that the next `pods` line shows marked.
    fn label_pod(&mut self, label: &str, trace: &[Value], index: usize) {
        let (key, value) = label.split_once('=').expect("key=value");
        let waits = |pod: &Pod| matches!(pod.state(), State::PreparingUpdate | State::PreparingDelete);
        let pod = match (key, value) {
            (HOLD, "None") => self.pod(waits),
            (HOLD, _) => self.pod(|pod| pod.state() == State::Updated),
            ("app", "other") => self.pod(|pod| tag(pod) == "B"),
            ("app", _) => self.pod(|pod| pod.label("app") == Some("other")),
            _specified => {
                let next = trace[index..].iter().find_map(|line| line["pods"].as_str()).expect("a pods line");
                let marked = picture::read(next);
                let mine = self.pods();
                let count = |pods: &picture::Pods, letter: &str| {
                    pods.get(letter).and_then(|entry| entry.get("sd")).copied().unwrap_or(0)
                };
                let (letter, _) = marked
                    .iter()
                    .find(|(letter, entry)| {
                        count(&marked, letter) > count(&mine, letter) || entry.contains_key("T")
                    })
                    .expect("a revision with a marked pod");
                let letter = letter.clone();
                let letters = &self.letters;
                self.pod(|pod| letters.of_hash(pod.revision()) == letter && pod.label(key).is_none())
            }
        };
        self.sim.change_pod(NAMESPACE, &pod, |pod| {
            if value == "None" {
                pod.body["metadata"]["labels"].as_object_mut().expect("labels").remove(key);
            } else {
                pod.set_label(key, value);
            }
        });
    }

    /// Puts names of our pods in the place of recorded ones: of A first, then of B, as the notes say.
    pub fn name_pods_to_delete(&mut self, fields: &mut Value) {
        let named = fields["ss"]["podsToDelete"].as_array().map_or(0, Vec::len);
        if named == 1 {
            let image = if fields.get("R").is_some() { "B" } else { "A" };
            let pod = self.pod(|pod| tag(pod) == image && pod.is_active());
            fields["ss"]["podsToDelete"] = json!([pod]);
        }
    }

    /// Sends what was refused, and compares code and sentence.
    pub fn expect_refusal(
        &mut self,
        what: &str,
        wanted: (Option<u64>, &str),
        trace: &[Value],
        index: usize,
    ) -> Result<(), String> {
        let note = trace[index..].iter().find_map(|line| line["note"].as_str()).unwrap_or_default();
        let fields = what.split_once(' ').map_or("", |(_, fields)| fields);
        let mut fields = if fields.contains(':') { flow::fields(fields) } else { json!({}) };
        if note == "partition \"5\"" {
            fields["part"] = json!("5");
        }
        let result = if what.starts_with("create") {
            let name = wanted.1.split('"').nth(1).filter(|_| wanted.1.starts_with("CloneSet"));
            let mut body = flow::base(NAMESPACE, name.unwrap_or("refused"));
            flow::apply(&mut body, &fields);
            self.sim.create(body)
        } else if what.starts_with("write") {
            self.sim.write(NAMESPACE, &self.set.clone(), |body| flow::apply(body, &fields))
        } else {
            self.change_template(what)
        };
        let code = wanted.0.and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
        match result {
            // Long sentences are cut off in the recordings.
            Err(refused)
                if refused.code == code && (code == 500 || refused.message.starts_with(wanted.1)) =>
            {
                Ok(())
            }
            other => Err(format!("{what}:\n  want {code} {}\n  have {other:?}", wanted.1)),
        }
    }
}

fn container(body: &mut Value) -> &mut Value {
    &mut body["spec"]["template"]["spec"]["containers"][0]
}

fn tag(pod: &Pod) -> &str {
    let image = pod.body["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
    image.rsplit_once(':').map_or(image, |(_, tag)| tag)
}
