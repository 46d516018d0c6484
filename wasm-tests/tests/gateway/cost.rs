//! What requests cost, in hybrid mode.

use crate::metering_gateways::hybrid;

#[tokio::test]
async fn hits_of_the_cache_have_their_own_price_and_count_in_full_where_configured() {
    // The only test of this gateway that has this model priced and asks for it.
    let gateway = hybrid("cost-hit").await;
    let ask = async || {
        let call = gateway.ask("auto", "How can I sleep better at night?");
        let call = call.order("usage", "1000,200,400");
        call.send().await.unwrap()
    };
    let mut misses = 0;
    // The answer is stored beside the request, not within it.
    while ask().await.header("x-vsr-cache-hit") != "true" {
        misses += 1;
        assert!(misses < 1000, "the answer is never stored");
    }
    assert!(misses > 0);
    gateway.counted("prompt", 1000 * (misses + 1)).await;
    gateway.counted("completion", 200 * (misses + 1)).await;
    gateway.counted("cached", 400 * (misses + 1)).await;
    let cost = gateway.stack.metric("llm_model_cost_total");
    let cost = cost.label("model", "qwen3-8b").label("currency", "EUR");
    // A miss: 600 × 0.5 + 400 × 0.05 + 200 × 1.5 millionths. A hit: 1,200 × 0.01.
    cost.value(620 * misses + 12).await.unwrap();
}
