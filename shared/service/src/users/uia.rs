//! User-interactive authentication: <https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api>.
//!
//! A session is a ticket, so that any process can go on with what another began. It belongs to one operation and one user for good.

use plexus_core::ids::UserNid;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    login::{self, Identifier},
    tickets::{self, Found, Kind},
};
use crate::{Ctx, Requester, ServiceError, error::Refusal, ids::hash_access_token};

/// One thing a user does to prove who he is, or that he may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    #[serde(rename = "m.login.password")]
    Password,
    #[serde(rename = "m.login.registration_token")]
    RegistrationToken,
    #[serde(rename = "m.login.terms")]
    Terms,
    #[serde(rename = "m.login.dummy")]
    Dummy,
}

impl Stage {
    fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(text.into()).ok()
    }
}

/// What is left to do: the body of the 401.
#[derive(Clone, Debug, PartialEq)]
pub struct Challenge {
    /// Stages of which all are needed, in any order.
    stages: Vec<Stage>,
    params: Value,
    session: String,
    completed: Vec<Stage>,
    /// Why the stage that was tried did not succeed.
    failure: Option<String>,
}

impl Challenge {
    /// As clients get it.
    pub fn into_json(self) -> Value {
        let mut body = json!({
            "flows": [{"stages": self.stages}],
            "params": self.params,
            "session": self.session,
            "completed": self.completed,
        });
        if let Some(failure) = self.failure {
            body["errcode"] = "M_FORBIDDEN".into();
            body["error"] = failure.into();
        }
        body
    }
}

/// What a session is about.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Session {
    /// The request, as far as it may not change.
    operation: String,
    user: Option<i64>,
    completed: Vec<Stage>,
    /// What the operation itself remembers from one request to the next.
    remembered: Value,
}

/// What has to be proved, and for what.
#[derive(Debug)]
pub(super) struct Demand<'a> {
    pub(super) operation: &'a str,
    pub(super) user: Option<UserNid>,
    pub(super) stages: &'a [Stage],
    pub(super) params: Value,
}

/// A session that a client goes on with.
#[derive(Debug)]
pub(super) struct Begun {
    name: String,
    found: Found<Session>,
}

impl Begun {
    /// What the operation remembers.
    pub(super) fn remembered(&self) -> &Value {
        &self.found.noted.remembered
    }

    /// Remembers something else.
    pub(super) async fn remember(&mut self, ctx: &Ctx, remembered: Value) -> Result<(), ServiceError> {
        self.found.noted.remembered = remembered;
        tickets::renote(ctx, Kind::Interactive, &self.name, &mut self.found).await
    }
}

/// Makes sure that it is the user himself who asks for `operation`, and not only somebody who has his access token.
///
/// `auth` is that key of the request's body. `operation` names the endpoint and what it works on (`DELETE /devices/ABC`): a session begun for one is
/// not good for another, nor for the same twice.
pub async fn authorize(
    ctx: &Ctx,
    requester: &Requester,
    auth: Option<&Value>,
    operation: &str,
) -> Result<(), ServiceError> {
    let demand = Demand {
        operation,
        user: Some(requester.user),
        stages: &[Stage::Password],
        params: json!({}),
    };
    let begun = open(ctx, &demand, auth).await?;
    let Some(begun) = proceed(ctx, &demand, auth, begun, Value::Null).await? else {
        return Ok(());
    };
    let taken: Option<Session> = tickets::take(ctx, Kind::Interactive, &begun.name).await?;
    taken
        .map(|_| ())
        .ok_or_else(|| ServiceError::forbidden("the session has been used"))
}

/// The session that `auth` names. One that is not known is as good as none: everything has to be proved anew.
pub(super) async fn open(ctx: &Ctx, demand: &Demand<'_>, auth: Option<&Value>) -> Result<Option<Begun>, ServiceError> {
    let Some(name) = auth.and_then(|auth| auth["session"].as_str()) else {
        return Ok(None);
    };
    let Some(found) = tickets::find::<Session>(ctx, Kind::Interactive, name).await? else {
        return Ok(None);
    };
    if found.noted.operation != demand.operation || found.noted.user != demand.user.map(|user| user.0) {
        return Err(ServiceError::forbidden("the session was begun for another operation"));
    }
    let name = name.to_owned();
    Ok(Some(Begun { name, found }))
}

/// Tries the stage that `auth` has. An error unless nothing is left to do; then gives the session back, if there was a need for one.
pub(super) async fn proceed(
    ctx: &Ctx,
    demand: &Demand<'_>,
    auth: Option<&Value>,
    begun: Option<Begun>,
    remembered: Value,
) -> Result<Option<Begun>, ServiceError> {
    let mut completed = begun
        .as_ref()
        .map_or_else(Vec::new, |begun| begun.found.noted.completed.clone());
    let failure = match try_stage(ctx, demand, auth).await? {
        Tried::Nothing => None,
        Tried::Failed(why) => Some(why.to_owned()),
        Tried::Done(stage) => {
            if !completed.contains(&stage) {
                completed.push(stage);
            }
            None
        }
    };
    let begun = keep(ctx, demand, begun, &completed, remembered).await?;
    match begun {
        Kept::Done(begun) => Ok(begun),
        Kept::Unfinished(session) => Err(ServiceError::Uia(Box::new(Challenge {
            stages: demand.stages.to_vec(),
            params: demand.params.clone(),
            session,
            completed,
            failure,
        }))),
    }
}

enum Kept {
    Done(Option<Begun>),
    /// With what the client is to call the session.
    Unfinished(String),
}

/// Writes down how far the session has come; makes one if there is none and more than this request is needed.
async fn keep(
    ctx: &Ctx,
    demand: &Demand<'_>,
    begun: Option<Begun>,
    completed: &[Stage],
    remembered: Value,
) -> Result<Kept, ServiceError> {
    let done = demand.stages.iter().all(|stage| completed.contains(stage));
    if let Some(mut begun) = begun {
        begun.found.noted.completed = completed.to_vec();
        tickets::renote(ctx, Kind::Interactive, &begun.name, &mut begun.found).await?;
        return Ok(if done {
            Kept::Done(Some(begun))
        } else {
            Kept::Unfinished(begun.name)
        });
    }
    if done {
        return Ok(Kept::Done(None));
    }
    let session = Session {
        operation: demand.operation.to_owned(),
        user: demand.user.map(|user| user.0),
        completed: completed.to_vec(),
        remembered,
    };
    Ok(Kept::Unfinished(tickets::give(ctx, Kind::Interactive, &session).await?))
}

enum Tried {
    Nothing,
    Done(Stage),
    Failed(&'static str),
}

async fn try_stage(ctx: &Ctx, demand: &Demand<'_>, auth: Option<&Value>) -> Result<Tried, ServiceError> {
    let Some(auth) = auth else { return Ok(Tried::Nothing) };
    let Some(kind) = auth["type"].as_str() else {
        return Ok(Tried::Nothing);
    };
    let Some(stage) = Stage::parse(kind).filter(|stage| demand.stages.contains(stage)) else {
        return Ok(Tried::Failed("the stage is not part of any flow"));
    };
    let (succeeded, why) = match stage {
        // To agree is to come here.
        Stage::Dummy | Stage::Terms => (true, ""),
        Stage::RegistrationToken => {
            let token = auth["token"].as_str().unwrap_or_default();
            (is_registration_token(ctx, token), "the registration token is not valid")
        }
        Stage::Password => (prove_password(ctx, demand, auth).await?, "the password is wrong"),
    };
    Ok(if succeeded {
        Tried::Done(stage)
    } else {
        Tried::Failed(why)
    })
}

/// Whether an account can be made with this token.
pub fn is_registration_token(ctx: &Ctx, token: &str) -> bool {
    // Digests are compared, so that the time it takes tells nothing about the tokens.
    let shown = hash_access_token(token);
    let known = &ctx.config.registration.tokens;
    known.iter().any(|known| hash_access_token(known) == shown)
}

async fn prove_password(ctx: &Ctx, demand: &Demand<'_>, auth: &Value) -> Result<bool, ServiceError> {
    let password = auth["password"]
        .as_str()
        .ok_or_else(|| ServiceError::refused(Refusal::MissingParam, "the stage has no password"))?;
    let named = login::named_user(ctx, &Identifier::of_stage(auth))?;
    let account = match &named {
        Some(user_id) => login::find_account(ctx, user_id).await?,
        None => None,
    };
    let account = account.filter(|account| demand.user.is_none_or(|user| account.user == user));
    let Some(account) = account else {
        return Err(ServiceError::forbidden("this is another user's password to know"));
    };
    let hash = account.password_hash.clone();
    ctx.passwords.verify(password.to_owned(), hash).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_says_what_is_left_and_why() {
        let challenge = Challenge {
            stages: vec![Stage::Terms, Stage::Dummy],
            params: json!({"m.login.terms": {"policies": {}}}),
            session: "s".to_owned(),
            completed: vec![Stage::Terms],
            failure: None,
        };
        let body = challenge.clone().into_json();
        assert_eq!(body["flows"], json!([{"stages": ["m.login.terms", "m.login.dummy"]}]));
        assert_eq!(
            (&body["completed"], &body["session"]),
            (&json!(["m.login.terms"]), &json!("s"))
        );
        assert!(body.get("errcode").is_none());
        let failure = Some("no".to_owned());
        let body = Challenge { failure, ..challenge }.into_json();
        assert_eq!(
            (&body["errcode"], &body["error"]),
            (&json!("M_FORBIDDEN"), &json!("no"))
        );
    }
}
