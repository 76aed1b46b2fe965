//! The pages, and who answers for them.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::controller::Pulse;
use crate::server::door::Door;
use crate::server::{health, metrics};

/// Takes an address. Nothing is answered yet.
///
/// # Errors
///
/// Where it is taken, or is none of this machine.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers for as long as the process lives.
pub async fn serve(listener: TcpListener, pulse: Pulse) {
    // It never ends: errors of single connections are theirs.
    let _ = axum::serve(Door::new(listener), router(pulse)).await;
}

/// The pages.
pub fn router(pulse: Pulse) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(page))
        .fallback(nothing)
        .layer(middleware::map_response(last))
        .with_state(pulse)
}

async fn healthz(State(pulse): State<Pulse>) -> Response {
    verdict(health::alive(&pulse.vitals()))
}

async fn readyz(State(pulse): State<Pulse>) -> Response {
    verdict(health::ready(&pulse.vitals()))
}

async fn page(State(pulse): State<Pulse>) -> Response {
    match metrics::page(&pulse) {
        Ok(page) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn nothing() -> Response {
    (StatusCode::NOT_FOUND, "/healthz, /readyz or /metrics\n").into_response()
}

fn verdict(said: Result<String, String>) -> Response {
    match said {
        Ok(sentence) => format!("{sentence}\n").into_response(),
        Err(sentence) => (StatusCode::SERVICE_UNAVAILABLE, format!("{sentence}\n")).into_response(),
    }
}

/// One answer for each connection: see [`crate::server::door::VISIT_MAX`].
async fn last(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
