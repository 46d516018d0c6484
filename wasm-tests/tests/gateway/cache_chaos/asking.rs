//! Users whose questions differ in a number alone, and answers that tell whose they are.

use std::time::Duration;

use anyhow::{Result, ensure};
use wasm_tests::harness::ready::until;
use wasm_tests::harness::{Client, Reply};

use crate::cache::is_hit;
use crate::gateways::Case;

pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// Bytes of an answer that soon fills a small disk.
const LONG: usize = 8_000;

/// Somebody who asks, and the length of the answers that the model gives them.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) client: Client,
    /// Of an answer, at least.
    pub(super) bytes: usize,
}

impl User {
    /// Of a test that fills files.
    pub(super) fn of(gateway: &Case) -> Self {
        Self {
            client: Client::clone(gateway),
            bytes: LONG,
        }
    }

    /// What the model says to this user and question, and to no other.
    fn answer(&self, number: usize) -> String {
        let text = format!("{}: {number} grams", self.client.user);
        let rest = self.bytes.saturating_sub(text.len());
        format!("{text} {}", "rice ".repeat(rest / 5))
    }
}

fn question(number: usize) -> String {
    format!("How many calories does a portion of {number} grams of boiled rice have?")
}

/// Asks, streamed or not, and fails unless the answer is the one to this question.
pub(super) async fn ask(user: &User, number: usize, streams: bool) -> Result<Reply> {
    let (text, own) = (question(number), user.answer(number));
    let call = if streams {
        user.client.ask_streamed("auto", &text)
    } else {
        user.client.ask("auto", &text)
    };
    let reply = call.answered_with(&own).send().await?;
    ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
    let told = if streams {
        ensure!(reply.text().ends_with("data: [DONE]\n\n"), "cut short");
        reply.streamed_content()
    } else {
        reply.content()
    };
    let begin: String = told.chars().take(60).collect();
    let name = &user.client.user;
    ensure!(told == own, "{name} asked for {number} and got {begin:?}");
    Ok(reply)
}

/// The same until the sidecar was heard: on a busy machine it may be late, and then nothing is stored either.
async fn ask_sidecar(user: &User, number: usize) -> Result<Reply> {
    until(DEADLINE, async || {
        let reply = ask(user, number, false).await?;
        let fallback = reply.header("x-vsr-fallback");
        ensure!(fallback.is_empty(), "{fallback}");
        Ok(reply)
    })
    .await
}

/// Asks until the answer comes from the cache.
pub(super) async fn ask_until_hit(user: &User, number: usize) -> Result<()> {
    until(DEADLINE, async || {
        ensure!(is_hit(&ask(user, number, false).await?), "not stored");
        Ok(())
    })
    .await
}

/// Which of these come from the cache at the first answer.
pub(super) async fn hits(
    user: &User,
    numbers: impl IntoIterator<Item = usize>,
) -> Result<Vec<usize>> {
    let mut hits = Vec::new();
    for number in numbers {
        if is_hit(&ask_sidecar(user, number).await?) {
            hits.push(number);
        }
    }
    Ok(hits)
}
