from celery import shared_task


@shared_task
def greet(users):
    return f"Hello from the worker, {users} users"
