DROP TABLE subscription_audit, subscription_skips, subscription_effects, subscription_attempts, subscription_revision_starts, subscription_revisions,
    subscription_parked, subscription_partitions, subscriptions, subscription_changes, subscription_members;
DROP SEQUENCE subscription_epochs;
