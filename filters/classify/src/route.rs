//! The four routes of an orchestrator, derived from the heads: what takes no model, news, thought, or neither.

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// A chat front end asks for a title, tags or follow-up questions: no user waits for thought.
    Meta,
    /// Needs information that is newer than a model.
    Enrich,
    /// Needs reasoning over several steps.
    Complex,
    /// Anything else.
    Moderate,
}

/// Beginnings of the prompts by which chat front ends ask for titles, tags, follow-ups and search queries.
///
/// Source: the default task prompts of Open WebUI (`### Task:`), and of LibreChat and BetterChatGPT for titles.
const TASKS: [&str; 4] = [
    "### Task:",
    "Provide a concise, 5-word-or-less title",
    "Generate a title in less than 6 words",
    "Create a concise, 3-5 word",
];

impl Route {
    /// The route of a text, by the probabilities that it needs fresh information and that it is complex.
    #[must_use]
    pub fn of(text: &str, fresh: f32, complex: f32) -> Self {
        let text = text.trim_start();
        if TASKS.iter().any(|task| text.starts_with(task)) {
            Self::Meta
        } else if fresh >= 0.5 {
            Self::Enrich
        } else if complex >= 0.5 {
            Self::Complex
        } else {
            Self::Moderate
        }
    }

    /// Its label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "META",
            Self::Enrich => "ENRICH",
            Self::Complex => "COMPLEX",
            Self::Moderate => "MODERATE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_ends_task_is_meta_whatever_it_is_about() {
        assert_eq!(
            Route::of("\n### Task:\nGenerate a concise title", 0.9, 0.9),
            Route::Meta
        );
        assert_eq!(Route::of("What is the task?", 0.9, 0.9), Route::Enrich);
        assert_eq!(Route::of("Prove it.", 0.1, 0.5), Route::Complex);
        assert_eq!(Route::of("Hi", 0.49, 0.49).name(), "MODERATE");
    }
}
