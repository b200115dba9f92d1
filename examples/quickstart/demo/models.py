from django.db import models
from django.utils import timezone


class Result(models.Model):
    """One task: written when it is queued, completed by the process that runs it."""

    class Queue(models.TextChoices):
        CELERY = "celery", "Celery"
        DJANGO_TASKS = "django-tasks", "django-tasks"
        BEAT = "beat", "Celery beat"

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"

    queue = models.CharField(max_length=20, choices=Queue.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    result = models.CharField(max_length=100, blank=True)
    process = models.CharField(max_length=40, blank=True)
    pid = models.PositiveIntegerField(null=True)
    queued_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self):
        return f"{self.queue} #{self.pk}: {self.result or self.state}"

    def start(self, process, pid):
        self.state = self.State.RUNNING
        self.process = process
        self.pid = pid
        self.save()

    def finish(self, result):
        self.state = self.State.DONE
        self.result = result
        self.finished_at = timezone.now()
        self.save()
