"""What can go wrong with data in motion; grown on the tree in connectors/errors.py."""

from connectors.errors import ConnectorError, InvalidInput


class RunInProgress(InvalidInput):
    """The pipeline has a run that waits or runs."""

    code = "run_in_progress"
    message = "A run of this pipeline is under way."
    hint = "Wait for it to end, or cancel it; its progress is at runs/."


class PipelinePaused(InvalidInput):
    """The pipeline is switched off."""

    code = "pipeline_paused"
    message = "This pipeline is paused."
    hint = "Resume it and try again: a run that was under way then goes on."


class RunNotFailed(InvalidInput):
    """The run has not failed, so there is nothing to retry."""

    code = "run_not_failed"
    message = "Only a run that has failed can be retried."
    hint = "Start a new run."


class RunSuperseded(InvalidInput):
    """The run is not the last one, or what the pipeline moves has changed since."""

    code = "run_superseded"
    message = "A later run, or a change of the pipeline, has taken this run's place."
    hint = "Start a new run."


class RunEnded(InvalidInput):
    """The run has ended, so it cannot be cancelled."""

    code = "run_ended"
    message = "The run has ended."
    hint = "There is nothing to cancel."


class TargetChanged(ConnectorError):
    """What is staged was to be added to rows that the target does not have, or not any more."""

    code = "target_changed"
    retryable = True
    message = "The target is not as it was when the rows to be added to it were read."
    hint = "Nothing to do: the next attempt reads the whole table."


class NoPrimaryKey(InvalidInput):
    """Rows without a key cannot be merged."""

    code = "no_primary_key"
    message = "The table has no primary key, so its rows cannot be merged."
    hint = "Add a primary key to the source table, or read it in mode full or append."


class StageFailed(ConnectorError):
    """The bucket cannot be written or read."""

    code = "stage_failed"
    retryable = True
    message = "The staging bucket could not be used."
    hint = "Ask the operator to check the STAGE_S3 settings and the bucket's permissions."


class ServiceDatabaseFailed(ConnectorError):
    """The service's own database was away."""

    code = "service_database_failed"
    retryable = True
    message = "The service's own database did not answer."
    hint = "Nothing to do if it is back: the run is tried again."


class LeaseLost(ConnectorError):
    """Another worker has taken this run over; what this one did is not kept."""

    code = "lease_lost"
    message = "The run was taken over by another worker."
    hint = "Nothing to do: the other worker goes on."


class RunCancelled(ConnectorError):
    """Somebody cancelled the run."""

    code = "run_cancelled"
    message = "The run was cancelled."
    hint = "Retry it, which goes on from what is staged, or start a new one."


class RunAbandoned(ConnectorError):
    """Every attempt's worker went away."""

    code = "run_abandoned"
    message = "The run's worker went away too often."
    hint = "Look at the worker's log and memory, then run it again."


class InputNotRefreshed(ConnectorError):
    """A view that was to be refreshed first could not be."""

    code = "input_not_refreshed"
    message = "A view that was to be refreshed before it could not be."
    hint = "Look at that view's last refresh, then ask for this one again."


class MailNotConfigured(ConnectorError):
    """The service has no mail server."""

    code = "mail_not_configured"
    message = "This service sends no e-mail."
    hint = "Ask the operator to set EMAIL_URL, or use a webhook."


class ChannelPaused(ConnectorError):
    """The alert channel is switched off."""

    code = "channel_paused"
    message = "This alert channel is switched off."
    hint = "Switch it on (is_active: true): alerts from then on are sent."
