//! A cluster of three masters.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep};
use turnpike_core::cache::RedisConfig;
use turnpike_sidecar::cache::{Filter, RedisStore, Store};

use crate::entries::{embedding, entry, open, partition};
use crate::server::{Outcome, RedisServer, free_port};

/// Slots of the three masters.
const SLOTS: [(&str, &str); 3] = [("0", "5461"), ("5462", "10922"), ("10923", "16383")];

/// Time for the nodes to learn of each other.
const FORM_TIME: Duration = Duration::from_secs(30);

async fn cluster() -> Outcome<Vec<RedisServer>> {
    let mut nodes: Vec<(RedisServer, u16)> = Vec::new();
    for (first, last) in SLOTS {
        let bus = free_port()?;
        let node = RedisServer::start_with(&[
            "--save",
            "",
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus.to_string(),
            "--cluster-node-timeout",
            "2000",
            "--cluster-require-full-coverage",
            "no",
        ])
        .await?;
        let _: String = node.run(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await?;
        for (other, bus) in &nodes {
            let (port, bus) = (other.port.to_string(), bus.to_string());
            let _: String = node
                .run(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])
                .await?;
        }
        nodes.push((node, bus));
    }
    let nodes: Vec<RedisServer> = nodes.into_iter().map(|(node, _)| node).collect();
    let started_at = Instant::now();
    loop {
        let mut formed = 0;
        for node in &nodes {
            let info: String = node.run(&["CLUSTER", "INFO"]).await?;
            let is_whole =
                info.contains("cluster_state:ok") && info.contains("cluster_slots_assigned:16384");
            formed += usize::from(is_whole && info.contains("cluster_known_nodes:3"));
        }
        if formed == nodes.len() {
            return Ok(nodes);
        }
        if started_at.elapsed() > FORM_TIME {
            return Err("the nodes do not form a cluster".into());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn open_on(nodes: &[RedisServer]) -> Outcome<RedisStore> {
    let cluster = true;
    open(&RedisConfig {
        cluster,
        ..nodes[1].config()
    })
    .await
}

#[tokio::test]
async fn partitions_are_spread_over_the_nodes_and_work_as_on_one() -> Outcome<()> {
    let nodes = cluster().await?;
    let store = open_on(&nodes).await?;
    for p in 0..30 {
        for number in 0..4 {
            let mut new = entry(p, &number.to_string(), Some(number), &format!("{p}"));
            new.answer.owner = format!("user {}", p % 3);
            store.store(new).await?;
        }
    }
    for p in 0..30 {
        let found = store.exact(&partition(p), "2").await?.ok_or("no hit")?;
        assert_eq!(found.answer.body, p.to_string());
        let near = store.nearest(&partition(p), &embedding(2), 0.9, 4).await?;
        assert_eq!(near.len(), 4);
        assert!(near.iter().all(|found| found.answer.body == p.to_string()));
    }
    for node in &nodes {
        let keys: usize = node.run(&["DBSIZE"]).await?;
        assert!(keys > 4, "a node has {keys} keys");
    }
    let stats = store.stats().await?;
    assert_eq!((stats.entries, stats.partitions), (120, 30));
    assert_eq!(store.export().collect::<Vec<_>>().await.len(), 120);
    let filter = Filter {
        owner: Some("user 1".into()),
        ..Filter::default()
    };
    assert_eq!(store.invalidate(filter.clone(), true).await?.entries, 40);
    assert_eq!(store.invalidate(filter, false).await?.entries, 40);
    assert_eq!(
        store.nearest(&partition(1), &embedding(2), 0.9, 4).await?,
        []
    );
    assert_eq!(
        store
            .nearest(&partition(2), &embedding(2), 0.9, 4)
            .await?
            .len(),
        4
    );
    assert_eq!(store.clear().await?.entries, 80);
    assert_eq!(store.stats().await?.entries, 0);
    Ok(())
}

#[tokio::test]
async fn a_slot_that_moves_to_another_node_is_followed() -> Outcome<()> {
    let nodes = cluster().await?;
    let store = open_on(&nodes).await?;
    store.store(entry(1, "before", Some(1), "a")).await?;
    let slot: u16 = nodes[0]
        .run(&["CLUSTER", "KEYSLOT", &format!("{{{}}}", partition(1))])
        .await?;
    let owner = SLOTS
        .iter()
        .position(|(_, last)| last.parse().is_ok_and(|last: u16| slot <= last));
    let owner = owner.ok_or("no owner")?;
    let target = (owner + 1) % nodes.len();
    let slot = slot.to_string();
    let target_id: String = nodes[target].run(&["CLUSTER", "MYID"]).await?;
    let owner_id: String = nodes[owner].run(&["CLUSTER", "MYID"]).await?;
    let _: String = nodes[target]
        .run(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &owner_id])
        .await?;
    let _: String = nodes[owner]
        .run(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id])
        .await?;
    let keys: Vec<String> = nodes[owner]
        .run(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"])
        .await?;
    assert_eq!(keys.len(), 2);
    let port = nodes[target].port.to_string();
    for key in &keys {
        let _: String = nodes[owner]
            .run(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"])
            .await?;
    }
    for node in [target, owner] {
        let _: String = nodes[node]
            .run(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id])
            .await?;
    }
    let started_at = Instant::now();
    while store
        .exact(&partition(1), "before")
        .await
        .ok()
        .flatten()
        .is_none()
    {
        assert!(
            started_at.elapsed() < Duration::from_secs(20),
            "not found after the move"
        );
        sleep(Duration::from_millis(50)).await;
    }
    store.store(entry(1, "after", Some(2), "b")).await?;
    assert_eq!(
        store
            .nearest(&partition(1), &embedding(1), 0.9, 4)
            .await?
            .len(),
        2
    );
    Ok(())
}

#[tokio::test]
async fn a_node_that_is_gone_costs_its_own_partitions_alone() -> Outcome<()> {
    let mut nodes = cluster().await?;
    let store = open_on(&nodes).await?;
    for p in 0..30 {
        store.store(entry(p, "q", Some(1), "a")).await?;
    }
    nodes[2].kill()?;
    // Until it is known, lookups may fail; then the others serve.
    let started_at = Instant::now();
    loop {
        let mut served = 0;
        for p in 0..30 {
            served += usize::from(matches!(store.exact(&partition(p), "q").await, Ok(Some(_))));
        }
        if served >= 10 {
            return Ok(());
        }
        assert!(
            started_at.elapsed() < Duration::from_secs(60),
            "{served} served"
        );
        sleep(Duration::from_millis(100)).await;
    }
}
