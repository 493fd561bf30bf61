export ANTHROPIC_BASE_URL={{anthropic_url}}
export ANTHROPIC_AUTH_TOKEN={{key}}
export ANTHROPIC_MODEL={{model}}
export ANTHROPIC_DEFAULT_HAIKU_MODEL={{model}}
claude
