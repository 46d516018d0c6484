use super::{canonical, check, mistake};

#[test]
fn one_recipe_may_be_the_gateway() {
    let recipe = "
recipes:
  - {name: spare, routing: {decisions: []}}
  - name: main
    routing:
      signals: {keywords: [{name: k, keywords: [a]}]}
      decisions: [{name: d, rules: {type: keyword, name: k}, modelRefs: [{model: large}]}]
entrypoints: [{model_names: [company/main], recipe: main}]
";
    let (config, notes) = check(&canonical(recipe)).unwrap();
    assert_eq!(config.decisions[0].name, "d");
    assert!(config.is_auto("company/main") && config.is_auto("auto"));
    assert_eq!(
        notes,
        ["recipes[0]: accepted, no effect: no entrypoint names it"]
    );
    let wrong = recipe.replace("name: k}, modelRefs", "name: gone}, modelRefs");
    assert_eq!(
        mistake(&canonical(&wrong)),
        "recipes[1].routing.decisions[0].rules.name: unknown keyword rule `gone`; known: k"
    );
    let wrong = recipe.replace("signals:", "signal:");
    assert_eq!(
        mistake(&canonical(&wrong)).lines().next(),
        Some("recipes[1].routing.signal: unknown key `signal`; did you mean `signals`?")
    );
}

#[test]
fn several_recipes_are_refused() {
    let two = "
recipes: [{name: x, routing: {}}, {name: y, routing: {}}]
entrypoints: [{model_names: [a], recipe: x}, {model_names: [b], recipe: y}, {model_names: [c], recipe: z}]
";
    assert_eq!(
        mistake(&canonical(two)),
        "entrypoints[1].recipe: is not available here beside the recipe `x`: a gateway has one set of decisions; run one for each recipe, or tell requests apart by conditions\n\
         entrypoints[2].recipe: unknown recipe `z`"
    );
}
