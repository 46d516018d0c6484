//! Where a key of the translated document stands in the user's file.

/// Pairs of paths, ours and the user's; what stands below a pair moved with it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Origins(Vec<(String, String)>);

impl Origins {
    /// Notes that `ours` was written at `given`. A later pair for the same path wins.
    pub(super) fn add(&mut self, ours: impl Into<String>, given: impl Into<String>) {
        self.0.push((ours.into(), given.into()));
    }

    /// The path in the user's file; `ours` itself where nothing moved.
    pub(super) fn given(&self, ours: &str) -> String {
        let moved = |(from, to): &(String, String)| {
            let rest = ours.strip_prefix(from.as_str())?;
            let is_below = rest.is_empty() || rest.starts_with(['.', '[']);
            is_below.then(|| (from.len(), format!("{to}{rest}")))
        };
        let nearest = self.0.iter().filter_map(moved).max_by_key(|(len, _)| *len);
        nearest.map_or_else(|| ours.to_owned(), |(_, given)| given)
    }
}

/// `at` and a key below it; `at` is empty for the document itself.
pub(super) fn below(at: &str, key: &str) -> String {
    if at.is_empty() {
        key.to_owned()
    } else {
        format!("{at}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_pair_counts_and_names_are_whole() {
        let mut origins = Origins::default();
        origins.add("decisions", "routing.decisions");
        origins.add("decisions[3]", "categories[0]");
        origins.add("model_config.a", "providers.models[0]");
        origins.add("model_config.a.b", "providers.models[1]");
        for (ours, given) in [
            ("decisions[1].name", "routing.decisions[1].name"),
            ("decisions[3].name", "categories[0].name"),
            ("decisions[33]", "routing.decisions[33]"),
            ("decisions_too", "decisions_too"),
            ("model_config.a.pricing", "providers.models[0].pricing"),
            ("model_config.a.b.pricing", "providers.models[1].pricing"),
            ("model_config.ab", "model_config.ab"),
            ("sidecar.timeout_ms", "sidecar.timeout_ms"),
        ] {
            assert_eq!(origins.given(ours), given);
        }
    }

    #[test]
    fn a_later_pair_for_the_same_path_wins() {
        let mut origins = Origins::default();
        origins.add("decisions[0]", "a");
        origins.add("decisions[0]", "b");
        assert_eq!(origins.given("decisions[0].name"), "b.name");
    }
}
