//! Asking the running server, by `/_synapse/admin/v1/register` and the secret only the data's owner can read.

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use sha1::Sha1;

use super::{NewUser, RegisterError};
use crate::{
    config::{Config, Secret},
    run::address_file,
    secrets::{hex, registration_secret_path},
};

/// How long the server may take for one answer: hashing a password takes a while on a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const PATH: &str = "/_synapse/admin/v1/register";

/// Makes the account and returns its user id.
pub(super) async fn register(config: &Config, user: &NewUser) -> Result<String, RegisterError> {
    let url = server_url(config)?;
    let secret = secret(config)?;
    let refused = |reason| RegisterError::Refused {
        name: user.name.clone(),
        reason,
    };
    let given = ask(Method::GET, &url, None).await?.map_err(refused)?;
    let nonce = text(&given, "nonce")?;
    let body = json!({
        "nonce": nonce,
        "username": user.name,
        "password": user.password,
        "admin": user.admin,
        "mac": mac(&secret, nonce, user),
    });
    let made = ask(Method::POST, &url, Some(&body)).await?.map_err(refused)?;
    Ok(text(&made, "user_id")?.to_owned())
}

/// Where the server listens: it wrote that down when it started, and beside PostgreSQL the configuration says so.
fn server_url(config: &Config) -> Result<String, RegisterError> {
    if config.sqlite_path().is_none() {
        return Ok(format!("http://{}{PATH}", config.listen.address));
    }
    let path = address_file(config);
    let url = std::fs::read_to_string(&path).map_err(|error| http(format!("{}: {error}", path.display())))?;
    Ok(format!("{}{PATH}", url.trim()))
}

fn secret(config: &Config) -> Result<Secret, RegisterError> {
    if !config.registration.shared_secret.is_empty() {
        return Ok(config.registration.shared_secret.clone());
    }
    let path = registration_secret_path(config);
    Secret::from_file(&path).map_err(|error| http(format!("{}: {error}", path.display())))
}

/// The proof of knowing the secret.
fn mac(secret: &Secret, nonce: &str, user: &NewUser) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.reveal().as_bytes()).expect("HMAC takes keys of any length");
    let role = if user.admin { "admin" } else { "notadmin" };
    mac.update([nonce, &user.name, &user.password, role].join("\0").as_bytes());
    hex(&mac.finalize().into_bytes())
}

/// Asks the server. The inner error is its refusal, in its words.
async fn ask(method: Method, url: &str, body: Option<&Value>) -> Result<Result<Value, String>, RegisterError> {
    let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Full::new(body)).map_err(|error| http(error.to_string()))?;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let exchange = async {
        let response = client
            .request(request)
            .await
            .map_err(|error| http(format!("{url}: {}", cause_of(&error))))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| http(format!("{url}: {error}")))?.to_bytes();
        Ok::<_, RegisterError>((status, body))
    };
    let answered = tokio::time::timeout(ANSWER_MAX, exchange).await;
    let (status, body) = answered.map_err(|_| http(format!("{url}: no answer in {} s", ANSWER_MAX.as_secs())))??;
    let answer: Value = serde_json::from_slice(&body).map_err(|_| http(format!("{url}: status {status}, not JSON")))?;
    if status.is_success() {
        return Ok(Ok(answer));
    }
    let error = answer
        .get("error")
        .and_then(Value::as_str)
        .unwrap_or("without a reason");
    Ok(Err(error.to_owned()))
}

/// The innermost cause, which says more than "client error (Connect)".
fn cause_of(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .map_or_else(String::new, ToString::to_string)
}

fn text<'a>(answer: &'a Value, field: &str) -> Result<&'a str, RegisterError> {
    answer
        .get(field)
        .and_then(Value::as_str)
        .ok_or_else(|| http(format!("the answer has no {field}")))
}

fn http(message: String) -> RegisterError {
    RegisterError::Http(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_hmac_sha1_of_the_fields() {
        // python: hmac.new(b"s3cret", b"n0nce\0alice\0hunter2\0admin", "sha1").hexdigest()
        let user = NewUser {
            name: "alice".to_owned(),
            password: "hunter2".to_owned(),
            admin: true,
        };
        let mac = mac(&Secret::new("s3cret".to_owned()), "n0nce", &user);
        assert_eq!(mac, "a75dc991329d90993feb264a326ec927b9a2c200");
    }
}
