//! The bearer token.

use crate::harness::{Files, Outcome, TOKEN, ask, get};

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn without_the_token_every_path_but_health_answers_401() -> Outcome<()> {
    let sidecar = Files::new()?.with_token(TOKEN)?.start().await?;
    let wrong = bearer("correct-horse");
    for asked in [
        get("/metrics"),
        get("/nowhere"),
        get("/healthz/"),
        get("//healthz"),
        get("/%68ealthz"),
        get("/v1/models"),
        ask("POST", "/v1/analyze"),
        ask("POST", "/v1/embeddings"),
        ask("DELETE", "/v1/cache/entries"),
        ask("OPTIONS", "/v1/analyze"),
        ask("POST", "/v1/embeddings").with_authorization(&wrong),
        ask("POST", "/v1/embeddings").with_authorization("Basic dXNlcjpwYXNz"),
        ask("POST", "/v1/embeddings").with_authorization(TOKEN),
    ] {
        let answer = sidecar.tcp(asked).await?;
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert_eq!(answer.headers["content-type"], "application/json");
        let error = answer.error()?.error;
        assert_eq!(error.code.as_deref(), Some("invalid_token"));
        assert_eq!(error.kind, "authentication_error");
    }
    assert_eq!(sidecar.tcp(get("/healthz")).await?.status, 200);
    assert_eq!(sidecar.tcp(get("/readyz")).await?.status, 503);
    Ok(())
}

#[tokio::test]
async fn the_token_opens_every_path() -> Outcome<()> {
    let sidecar = Files::new()?
        .with_token(&format!("\n {TOKEN}\r\n"))?
        .start()
        .await?;
    for authorization in [bearer(TOKEN), format!("bEARER {TOKEN}")] {
        let metrics = sidecar.tcp(get("/metrics").with_authorization(&authorization));
        assert_eq!(metrics.await?.status, 200);
        let embeddings = ask("POST", "/v1/embeddings").with_authorization(&authorization);
        let answer = sidecar.tcp(embeddings).await?;
        assert_ne!(answer.status, 401, "the handler answers: {answer:?}");
        let nowhere = sidecar.tcp(get("/nowhere").with_authorization(&authorization));
        assert_eq!(nowhere.await?.code()?, "unknown_url");
    }
    Ok(())
}

#[tokio::test]
async fn a_repeated_header_is_refused_even_with_the_token_in_it() -> Outcome<()> {
    let sidecar = Files::new()?.with_token(TOKEN)?.start().await?;
    let right = bearer(TOKEN);
    for (first, second) in [
        (&*right, "Bearer x"),
        ("Bearer x", &right),
        (&right, &right),
    ] {
        let asked = get("/metrics")
            .with_authorization(first)
            .with_authorization(second);
        let answer = sidecar.tcp(asked).await?;
        assert_eq!(
            (answer.status, &*answer.code()?),
            (400, "repeated_header"),
            "{answer:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_unix_socket_asks_for_nothing() -> Outcome<()> {
    let sidecar = Files::new()?.with_token(TOKEN)?.start().await?;
    let answer = sidecar.unix(get("/metrics")).await?;
    assert_eq!(answer.status, 200);
    let embeddings = sidecar.unix(ask("POST", "/v1/embeddings")).await?;
    assert_ne!(embeddings.status, 401);
    Ok(())
}

#[tokio::test]
async fn refusals_are_counted_under_their_path() -> Outcome<()> {
    let sidecar = Files::new()?.with_token(TOKEN)?.start().await?;
    sidecar.tcp(ask("POST", "/v1/analyze")).await?;
    let metrics = sidecar.unix(get("/metrics")).await?;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = "turnpike_sidecar_requests_total{path=\"/v1/analyze\",code=\"401\"} 1\n";
    assert!(text.contains(line), "{text}");
    Ok(())
}

#[tokio::test]
async fn an_exchanged_token_counts_after_a_reload_and_a_bad_one_never() -> Outcome<()> {
    let files = Files::new()?.with_token(TOKEN)?;
    let sidecar = files.start().await?;
    let (old, new) = (bearer(TOKEN), bearer("another"));
    let status = async |caller: &str| -> Outcome<u16> {
        Ok(sidecar
            .tcp(get("/metrics").with_authorization(caller))
            .await?
            .status)
    };
    files.write("token", "another")?;
    assert_eq!((status(&old).await?, status(&new).await?), (200, 401));
    sidecar.access.reload()?;
    assert_eq!((status(&old).await?, status(&new).await?), (401, 200));

    files.write("token", "  \n")?;
    assert!(sidecar.access.reload().is_err());
    assert_eq!((status(&old).await?, status(&new).await?), (401, 200));
    assert_eq!(sidecar.tcp(get("/metrics")).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn without_keys_tcp_is_plain_and_open() -> Outcome<()> {
    let sidecar = Files::new()?.start().await?;
    assert_eq!(sidecar.tcp(get("/metrics")).await?.status, 200);
    Ok(())
}
