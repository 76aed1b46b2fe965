//! A mutating webhook of our own: an HTTPS server that the API server asks about every CloneSet of one namespace.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::cluster::plane::Plane;

/// Seconds that the API server waits for it.
const PATIENCE: u64 = 2;

/// What it does with an object.
pub enum Deed {
    /// Lets it pass.
    Nothing,
    /// Changes it: the operations of a JSON patch.
    Patch(fn(&Value) -> Vec<Value>),
    /// Answers when nobody waits any more.
    Sleep,
    /// Answers with what is no review.
    Fail,
}

/// A webhook. It goes when it is dropped.
pub struct Hook {
    plane: Plane,
    name: String,
    deed: Arc<Mutex<Deed>>,
}

impl Hook {
    /// Is asked from now on about the CloneSets of a namespace.
    pub fn of(plane: &Plane, namespace: &str) -> Self {
        let pki = plane.dir().join("pki");
        let chain = CertificateDer::pem_file_iter(pki.join("server.crt")).expect("a certificate");
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(pki.join("server.key")).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth().with_single_cert(chain, key);
        let config = Arc::new(config.expect("a key that fits"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("https://{}/", listener.local_addr().expect("an address"));
        let deed = Arc::new(Mutex::new(Deed::Nothing));
        let shared = Arc::clone(&deed);
        // It serves until the test process ends: nobody asks it once its configuration is gone.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, deed) = (Arc::clone(&config), Arc::clone(&shared));
                std::thread::spawn(move || {
                    let connection = ServerConnection::new(config).expect("a configuration");
                    // A client that goes away is none of its business.
                    let _ = answer(StreamOwned::new(connection, stream), &deed);
                });
            }
        });
        let authority = std::fs::read(pki.join("ca.crt")).expect("an authority");
        let name = format!("of-{namespace}");
        let hook = json!({
            "name": "hook.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "timeoutSeconds": PATIENCE, "failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{"apiGroups": ["apps.kruise.io"], "apiVersions": ["*"], "resources": ["clonesets"],
                "operations": ["CREATE", "UPDATE"]}],
            "clientConfig": {"url": url, "caBundle": STANDARD.encode(authority)}});
        let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration", "metadata": {"name": name}, "webhooks": [hook]});
        plane.kubectl_reading(&["apply", "-f", "-"], &configuration.to_string());
        Self { plane: plane.beside(), name, deed }
    }

    /// Does something else from now on.
    pub fn does(&self, deed: Deed) {
        *self.deed.lock().expect("it lives") = deed;
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.plane.can(&["delete", "mutatingwebhookconfiguration", &self.name]);
    }
}

fn answer(mut stream: StreamOwned<ServerConnection, TcpStream>, deed: &Mutex<Deed>) -> std::io::Result<()> {
    let (mut heard, mut piece) = (Vec::new(), [0; 16384]);
    let begin = loop {
        if let Some(at) = heard.windows(4).position(|it| it == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            count => heard.extend(&piece[..count]),
        }
    };
    let head = String::from_utf8_lossy(&heard[..begin]).to_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    while heard.len() < begin + length.expect("a body of known length") {
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            count => heard.extend(&piece[..count]),
        }
    }
    let review: Value = serde_json::from_slice(&heard[begin..])?;
    let operations = match &*deed.lock().expect("it lives") {
        Deed::Nothing => Vec::new(),
        Deed::Patch(patch) => patch(&review["request"]["object"]),
        Deed::Sleep => {
            std::thread::sleep(Duration::from_secs(2 * PATIENCE));
            return Ok(());
        }
        Deed::Fail => {
            return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        }
    };
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    if !operations.is_empty() {
        response["patchType"] = "JSONPatch".into();
        response["patch"] = STANDARD.encode(Value::from(operations).to_string()).into();
    }
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    let body = body.to_string();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())?;
    stream.flush()
}
