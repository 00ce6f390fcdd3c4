//! What the configuration says about accounts, as the service functions take it.

use plexus_service::ctx::{Accounts, Discovery, Policy, Turn, TurnCredentials};

use crate::config::Config;

/// The registration tokens.
pub(crate) fn tokens(config: &Config) -> Vec<String> {
    let tokens = config.registration.tokens.reveal().split_whitespace();
    tokens.map(str::to_owned).collect()
}

/// What new users agree to.
pub(crate) fn terms(config: &Config) -> Vec<Policy> {
    let registration = &config.registration;
    let terms = filled(&registration.terms_url).map(|url| Policy {
        id: "terms".to_owned(),
        version: registration.terms_version.clone(),
        name: registration.terms_name.clone(),
        url,
    });
    terms.into_iter().collect()
}

/// What accounts are like.
pub(crate) fn accounts(config: &Config) -> Accounts {
    let (turn, discovery) = (&config.turn, &config.discovery);
    let credentials = if turn.secret.is_empty() {
        TurnCredentials::Fixed {
            username: turn.username.clone(),
            password: turn.password.reveal().to_owned(),
        }
    } else {
        TurnCredentials::Secret(turn.secret.reveal().to_owned())
    };
    Accounts {
        access_token_ttl_ms: config.accounts.access_token_lifetime_s.saturating_mul(1000),
        login_tokens: config.accounts.login_tokens,
        profiles_need_token: config.accounts.profiles_need_token,
        behind_proxy: config.listen.behind_proxy,
        turn: Turn {
            uris: turn.uris.clone(),
            credentials,
            lifetime_ms: turn.lifetime_s.saturating_mul(1000),
        },
        discovery: Discovery {
            public_base_url: filled(&discovery.public_base_url),
            federation_server: filled(&discovery.federation_server),
            support_email: filled(&discovery.support_email),
            support_user_id: filled(&discovery.support_user_id),
            support_page: filled(&discovery.support_page),
        },
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
