//! The `do` lines that are about single pods, the manager, or a whole CloneSet.

use serde_json::{Value, json};
use triton::devcluster::deletes::Propagation;
use triton::devcluster::pods::{Pod, State};
use triton::devcluster::sim::Refused;

use crate::traces::picture;
use crate::traces::script::{Cluster, Script};

/// The label of the recorded hooks.
const HOLD: &str = "triton.io/hold";
/// The readiness gate of the recorded pods.
const SERVING: &str = "triton.io/serving";

impl<C: Cluster> Script<C> {
    /// Does what a line says that is neither a create, a write nor a scale.
    pub fn act_on_pods(&mut self, what: &str, trace: &[Value], index: usize) -> Result<(), Refused> {
        if let Some(image) = what.strip_prefix("delete a pod of ") {
            let pod = self.pod(|pod| tag(pod) == image && pod.is_active())?;
            self.cluster.delete_pod(&pod);
        } else if let Some(gate) = what.strip_prefix("gate ") {
            let holds = gate == "True";
            // On: the next dark pod. Off: the pods of B, one after the other.
            let pod = self.pod(|pod| pod.is_true(SERVING) != holds && (holds || tag(pod) == "B"))?;
            let now = self.cluster.now();
            self.cluster.change_pod(&pod, &|pod| pod.set_condition(SERVING, holds, now));
        } else if let Some(label) = what.strip_prefix("pod label ") {
            self.label_pod(label, trace, index)?;
        } else if let Some(image) =
            what.strip_prefix("a pod of ").and_then(|rest| rest.strip_suffix(" becomes Failed"))
        {
            let pod = self.pod(|pod| tag(pod) == image && pod.is_active())?;
            self.cluster.change_pod(&pod, &|pod| pod.body["status"]["phase"] = json!("Failed"));
        } else if let Some(how) = what.strip_prefix("kruise-manager killed") {
            self.cluster.kill_manager(how.contains("Ignore"));
        } else {
            self.act_on_the_rest(what)?;
        }
        Ok(())
    }

    fn act_on_the_rest(&mut self, what: &str) -> Result<(), Refused> {
        let set = self.set.clone();
        match what {
            "delete a hooked pod directly" => {
                let pod = self.pod(|pod| pod.label(HOLD).is_some())?;
                self.cluster.delete_pod(&pod);
            }
            "cost -5 on the first" => self.give_cost(0, "-5")?,
            "cost 5 on the second" => self.give_cost(1, "5")?,
            "third not ready" => {
                let pod = self.nth(2)?;
                self.cluster.break_pod(&pod);
            }
            "delete background" => self.cluster.delete(&set, Propagation::Background),
            "delete foreground" => self.cluster.delete(&set, Propagation::Foreground),
            "delete orphan" => self.cluster.delete(&set, Propagation::Orphan),
            "kruise-manager started again" => self.cluster.start_manager(),
            "label" => self.write_body(&|body| body["metadata"]["labels"]["x"] = json!("y"))?,
            other => self.change_template(other)?,
        }
        Ok(())
    }

    fn give_cost(&mut self, index: usize, cost: &str) -> Result<(), Refused> {
        let pod = self.nth(index)?;
        let key = "controller.kubernetes.io/pod-deletion-cost";
        self.cluster.change_pod(&pod, &|pod| pod.set_annotation(key, cost));
        Ok(())
    }

    fn nth(&self, index: usize) -> Result<String, Refused> {
        self.live_pods().get(index).map(|pod| pod.name().to_owned()).ok_or_else(no_pod)
    }

    /// The edits of the scenario `what-in-place`.
    pub fn change_template(&mut self, what: &str) -> Result<(), Refused> {
        let fields = match what {
            "image" => "img:B",
            "image+annotation" => "img:C,tann:{k:v}",
            "env" => "env:[{name:X,value:1}]",
            "template label" => "tmpl:{labels:{z:1}}",
            "imagePullPolicy" => {
                return self.write_body(&|body| container(body)["imagePullPolicy"] = json!("IfNotPresent"));
            }
            "resources" => {
                return self
                    .write_body(&|body| container(body)["resources"] = json!({"requests": {"cpu": "10m"}}));
            }
            "init image" => {
                return self.write_body(&|body| {
                    body["spec"]["template"]["spec"]["initContainers"][0]["image"] = json!("r/init:2");
                });
            }
            "terminationGracePeriodSeconds" => "pod:{terminationGracePeriodSeconds:7}",
            "new container" => {
                return self.write_body(&|body| {
                    let containers = &mut body["spec"]["template"]["spec"]["containers"];
                    let more = json!({"name": "d", "image": "r/side:1"});
                    containers.as_array_mut().expect("containers").push(more);
                });
            }
            "status-less metadata write" => "ann:{x:y}",
            "PUT with volumeClaimTemplates" => {
                return self.cluster.write("web", &|body| {
                    body["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "v"}}]);
                });
            }
            other => panic!("a line that is not known: {other}"),
        };
        self.write(fields)
    }

    /// The name of the oldest pod of which `holds` is true: the recorded scripts listed pods before they began.
    fn pod(&self, holds: impl Fn(&Pod) -> bool) -> Result<String, Refused> {
        let mut pods = self.live_pods();
        pods.sort_by_key(|pod| pod.body["metadata"]["creationTimestamp"].to_string());
        pods.iter().find(|pod| holds(pod)).map(|pod| pod.name().to_owned()).ok_or_else(no_pod)
    }

    /// Labels the pod that the recorded script meant: for the hook the one that waits, for a delete one of the revision
    /// that the next `pods` line shows marked.
    fn label_pod(&mut self, label: &str, trace: &[Value], index: usize) -> Result<(), Refused> {
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
                    .ok_or_else(no_pod)?;
                self.pod(|pod| self.letter(pod) == *letter && pod.label(key).is_none())
            }
        }?;
        self.cluster.change_pod(&pod, &|pod| {
            if value == "None" {
                pod.body["metadata"]["labels"].as_object_mut().expect("labels").remove(key);
            } else {
                pod.set_label(key, value);
            }
        });
        Ok(())
    }

    /// Puts names of our pods in the place of recorded ones: of A first, then of B, as the notes say.
    pub fn name_pods_to_delete(&mut self, fields: &mut Value) -> Result<(), Refused> {
        let named = fields["ss"]["podsToDelete"].as_array().map_or(0, Vec::len);
        if named == 1 {
            let image = if fields.get("R").is_some() { "B" } else { "A" };
            let pod = self.pod(|pod| tag(pod) == image && pod.is_active())?;
            fields["ss"]["podsToDelete"] = json!([pod]);
        }
        Ok(())
    }
}

fn no_pod() -> Refused {
    Refused { code: 404, message: "there is no such pod".to_owned() }
}

fn container(body: &mut Value) -> &mut Value {
    &mut body["spec"]["template"]["spec"]["containers"][0]
}

fn tag(pod: &Pod) -> &str {
    let image = pod.body["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
    image.rsplit_once(':').map_or(image, |(_, tag)| tag)
}
